"""What a reactor counts and tells, and where it can be watched: nothing that goes wrong goes unseen.

Read in this order: ``probe`` (the places at which it can be watched), ``counters`` (what happened, as numbers),
``reports`` (what went wrong, in words).
"""
