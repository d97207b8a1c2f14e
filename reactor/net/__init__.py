"""The network on top of the loop: addresses, sockets, streams, datagrams, names, connecting and listening.

Read in this order: ``addresses``, ``socket_options``, ``port_holder``, ``unix_path`` and ``sockets`` (what the
system wants to hear) · ``protocol`` and ``factories`` (what a user writes) · ``linger``, ``outgoing``, ``pump``,
``batch``, ``shared``, ``transport``, ``write_half``, ``read_half`` and ``stream`` (bytes both ways, and a good end) ·
``deadline`` · the folder ``messages`` (whole messages both ways) · ``multicast``, ``destinations``, ``datagram``,
``datagram_batch`` · the folder ``names`` and ``resolver`` · ``acceptor``, ``listener``, ``attempt`` and
``connector`` (how streams come to be) · ``reactor`` (the face).

Nothing in here calls the operating system by itself: it is asked through ``ops`` or through a socket's own methods.
"""
