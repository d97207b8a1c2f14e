"""What ``socketserver`` is made of: servers, handlers, and the threads and processes that answer.

Read in this order: ``server_selector`` (a server waits for its next request), ``base_server``, ``socket_servers``,
``request_handlers``, ``thread_mixin`` and ``fork_mixin``.  The folder ``pooled`` goes on from here.
"""
