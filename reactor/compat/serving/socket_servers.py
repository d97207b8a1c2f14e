"""Servers on sockets: TCP and UDP, and the same two for Unix paths.

A stream server's request is a connected socket; a datagram server's is ``(data, socket)``, the datagram and the
server's own socket, to answer from.  Everything that is done to the server's socket goes through ``self.socket``,
which a program may wrap (for TLS) or exchange before it serves, and everything that depends on the kind of socket
is an attribute or a short method to replace.

Sockets stay as they were made: blocking, or with the timeout that the program has given them, since handlers read
from them as if nobody else were there.  Read next: ``request_handlers``.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from reactor.compat.serving.base_server import BaseServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class TCPServer(BaseServer):
    """A server of TCP connections, one request each.

    *server_address* is ``(host, port)``; after binding, ``self.server_address`` is what the system made of it, so
    port 0 takes any free one.  With *bind_and_activate* false, call ``server_bind`` and ``server_activate``
    yourself. Raises what socket(2), bind(2) and listen(2) do, and leaves nothing open then.
    """

    address_family: int = socket.AF_INET
    socket_type: int = socket.SOCK_STREAM

    #: Connections that may wait in the kernel to be accepted, see listen(2).
    request_queue_size = 5

    #: Take an address although connections of a former server on it still linger (SO_REUSEADDR).
    allow_reuse_address: bool | int = False

    #: Share the address with other servers that allow it too (SO_REUSEPORT).
    allow_reuse_port: bool | int = False

    def __init__(
        self,
        server_address: Any,
        RequestHandlerClass: Callable[[Any, Any, Any], object],
        bind_and_activate: bool = True,
    ) -> None:
        BaseServer.__init__(self, server_address, RequestHandlerClass)
        self.socket = socket.socket(self.address_family, self.socket_type)
        if bind_and_activate:
            try:
                self.server_bind()
                self.server_activate()
            except BaseException:
                self.server_close()
                raise

    def server_bind(self) -> None:
        """Bind the socket to ``server_address``, and set that to what the system made of it."""
        if self.allow_reuse_address and hasattr(socket, "SO_REUSEADDR"):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self.allow_reuse_port and hasattr(socket, "SO_REUSEPORT"):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def server_activate(self) -> None:
        """Listen."""
        self.socket.listen(self.request_queue_size)

    def server_close(self) -> None:
        """Close the server's socket.  Not while it serves: ``shutdown`` first."""
        self.socket.close()

    def fileno(self) -> int:
        """Return the descriptor of the server's socket."""
        return self.socket.fileno()

    def get_request(self) -> tuple[Any, Any]:
        """Accept a connection; return its socket and the peer's address.  Raises OSError."""
        return self.socket.accept()

    def shutdown_request(self, request: Any) -> None:
        """Tell the peer that nothing more will come, then close the connection."""
        try:
            request.shutdown(socket.SHUT_WR)  # close() alone says nothing as long as another copy is open
        except OSError:
            pass  # the peer has gone already
        self.close_request(request)

    def close_request(self, request: Any) -> None:
        """Close the connection."""
        request.close()


class UDPServer(TCPServer):
    """A server of datagrams; a request is ``(data, socket)``."""

    socket_type: int = socket.SOCK_DGRAM
    allow_reuse_address: bool | int = False
    allow_reuse_port: bool | int = False

    #: Bytes that are taken of one datagram; what is longer is cut.
    max_packet_size = 8192

    def server_activate(self) -> None:
        """Do nothing: a datagram socket receives as soon as it is bound."""

    def get_request(self) -> tuple[Any, Any]:
        """Receive a datagram; return it, with the socket to answer from, and its sender's address."""
        data, address = self.socket.recvfrom(self.max_packet_size)
        return (data, self.socket), address

    def shutdown_request(self, request: Any) -> None:
        """Do nothing but ``close_request``: the socket is the server's."""
        self.close_request(request)

    def close_request(self, request: Any) -> None:
        """Do nothing: a datagram has nothing to give back."""


if hasattr(socket, "AF_UNIX"):

    class UnixStreamServer(TCPServer):
        """A stream server on a Unix socket; *server_address* is its path, which is not removed at the end."""

        address_family = socket.AF_UNIX

    class UnixDatagramServer(UDPServer):
        """A datagram server on a Unix socket; whoever wants an answer has bound a path too."""

        address_family = socket.AF_UNIX
