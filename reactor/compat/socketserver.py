"""``socketserver`` of the standard library, on the reactor.

``import reactor.compat.socketserver as socketserver``, and a program goes on as it was: the same classes, mix-ins,
attributes, methods and hooks, called in the same order.  Underneath, a loop waits instead of a poll object that
wakes up twice a second, and some things are mended: ``docs/socketserver.md`` lists them.

``__all__`` is that of the running Python's own module.  Beside it there are ``PooledMixIn``, which serves any
number of connections with a bounded number of threads, and its handlers.  For modules that import ``socketserver``
themselves, such as http.server, see ``stdlib_modules``.

This file only puts together what stands in the folders ``serving`` and ``pooled``: read those.
"""

from __future__ import annotations

# Some programs reach through the module for what it imports.
import os
import selectors  # noqa: F401
import socket
import sys
import threading  # noqa: F401
from io import BufferedIOBase  # noqa: F401

from reactor.compat.pooled.handler import PooledHandlerMixIn, PooledStreamRequestHandler  # noqa: F401
from reactor.compat.pooled.http import PooledHTTPMixIn  # noqa: F401
from reactor.compat.pooled.mixin import PoolCounts, PooledMixIn  # noqa: F401
from reactor.compat.serving.base_server import BaseServer
from reactor.compat.serving.request_handlers import (
    BaseRequestHandler,
    DatagramRequestHandler,
    StreamRequestHandler,
    _SocketWriter,  # noqa: F401
)
from reactor.compat.serving.socket_servers import TCPServer, UDPServer
from reactor.compat.serving.thread_mixin import ThreadingMixIn, _NoThreads, _Threads  # noqa: F401
from reactor.limits import BACKLOG

__version__ = "0.4"

__all__ = [
    "BaseServer",
    "TCPServer",
    "UDPServer",
    "ThreadingUDPServer",
    "ThreadingTCPServer",
    "BaseRequestHandler",
    "StreamRequestHandler",
    "DatagramRequestHandler",
    "ThreadingMixIn",
]


class ThreadingTCPServer(ThreadingMixIn, TCPServer):
    """A TCP server with a thread for each connection."""


class ThreadingUDPServer(ThreadingMixIn, UDPServer):
    """A UDP server with a thread for each datagram."""


class PooledTCPServer(PooledMixIn, TCPServer):
    """A TCP server with a bounded number of threads, made for many connections."""

    request_queue_size = BACKLOG


class PooledUDPServer(PooledMixIn, UDPServer):
    """A UDP server with a bounded number of threads."""


if hasattr(os, "fork"):
    from reactor.compat.serving.fork_mixin import ForkingMixIn

    class ForkingTCPServer(ForkingMixIn, TCPServer):
        """A TCP server with a process for each connection."""

    class ForkingUDPServer(ForkingMixIn, UDPServer):
        """A UDP server with a process for each datagram."""

    __all__ += ["ForkingUDPServer", "ForkingTCPServer", "ForkingMixIn"]

if hasattr(socket, "AF_UNIX"):
    from reactor.compat.serving.socket_servers import UnixDatagramServer, UnixStreamServer

    class ThreadingUnixStreamServer(ThreadingMixIn, UnixStreamServer):
        """A server on a Unix socket with a thread for each connection."""

    class ThreadingUnixDatagramServer(ThreadingMixIn, UnixDatagramServer):
        """A datagram server on a Unix socket with a thread for each datagram."""

    class PooledUnixStreamServer(PooledMixIn, UnixStreamServer):
        """A server on a Unix socket with a bounded number of threads, made for many connections."""

        request_queue_size = BACKLOG

    __all__ += [
        "UnixStreamServer", "UnixDatagramServer", "ThreadingUnixStreamServer", "ThreadingUnixDatagramServer",
    ]  # fmt: skip

    if hasattr(os, "fork"):

        class ForkingUnixStreamServer(ForkingMixIn, UnixStreamServer):
            """A server on a Unix socket with a process for each connection.  Public since Python 3.12."""

        class ForkingUnixDatagramServer(ForkingMixIn, UnixDatagramServer):
            """A datagram server on a Unix socket with a process for each datagram.  Public since Python 3.12."""

        if sys.version_info >= (3, 12):
            __all__ += ["ForkingUnixStreamServer", "ForkingUnixDatagramServer"]

# Whoever prints, pickles or searches for a class finds it under the name by which it is imported.
for _name in __all__:
    globals()[_name].__module__ = __name__
