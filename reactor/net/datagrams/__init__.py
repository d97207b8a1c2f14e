"""Datagrams: messages that arrive whole or not at all, from anybody, in any order.

Read in this order: ``destinations`` and ``multicast`` (where a socket may send), ``endpoint`` (one socket and its
protocol); then ``batch`` and ``batched_endpoint``, the same with fewer calls into the kernel.
"""
