"""Any number of open connections, a bounded number of threads: what ``socketserver`` of this package has beyond its
model.

Read in this order: ``worker_threads`` (the threads), ``waiting_room`` (who has nothing to say waits in a reactor),
``pool`` (a connection moves between the two), ``mixin`` for servers, ``handler`` and ``http`` for handlers.
"""
