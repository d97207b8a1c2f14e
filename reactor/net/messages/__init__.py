"""Connections that keep the boundaries of messages: Unix sockets of the kind SOCK_SEQPACKET.

Read in this order: ``protocol`` (what a program writes), ``stream``.
"""
