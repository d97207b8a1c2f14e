"""Connections of bytes, and the life that all kinds of connections share.

Read in this order: ``outgoing`` and ``outbox`` (what waits to be sent), ``transport`` (the one life of every
connection), ``stream``; then ``deadline``, which programs use beside it.
"""
