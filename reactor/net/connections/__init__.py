"""How connections come about, from either side.

``acceptor`` and ``listener`` take them in, ``attempt`` and ``connector`` make them, and ``factories`` checks,
before anything is opened, that a program's factory can make protocols.  Read in this order: ``factories``,
``acceptor``, ``listener``, ``attempt``, ``connector``.
"""
