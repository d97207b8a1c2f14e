"""The network on top of the loop: addresses, sockets, streams, datagrams, names, connecting and listening.

Each folder is a room, with one question on its door.  Read them in this order:

- ``protocol``: what a program writes, and what it is told;
- ``sockets``: how a socket is named, opened, set up, and closed so that the last reply arrives;
- ``stream``: a connection of bytes, and the life that all kinds of connections share;
- ``pump``: the same bytes received and sent for many streams in one call, in C;
- ``messages`` and ``datagrams``: connections and sockets that keep the boundaries of what was sent;
- ``names``: every question about a name, asked beside the loop;
- ``connections``: how streams come about, by accepting and by connecting;
- ``shared``: what all of them share in one reactor; and ``reactor``: the face that a program sees.

Nothing in here calls the operating system by itself: it is asked through ``ops`` or through a socket's own methods.
"""
