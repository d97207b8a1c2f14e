"""Sockets before and after they are transports: their addresses, options, how they are opened, and a good end.

Read in this order: ``addresses``, ``options``, ``port_holder`` (who is in the way), ``unix_paths``, ``opening``,
``lingering`` (how a socket is closed so that the last reply arrives).
"""
