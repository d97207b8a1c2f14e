"""What ``asyncore`` and ``asynchat`` are made of.

Read in this order: ``events`` (what happens to a channel, and in which order it is told), ``edges`` and
``registration`` (the map of channels, on a reactor), ``watch`` (one wait, and what came of it), ``channel`` (the
dispatcher), ``file_wrapper``.
"""
