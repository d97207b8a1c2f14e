"""Datagrams: ``destinations`` and ``multicast`` (where they may go), ``endpoint`` (one socket and its protocol), and the
same with fewer calls into the kernel: ``batch`` and ``batched_endpoint``.
"""
