"""What answers one request: ``setup``, ``handle``, ``finish``, all three from inside the constructor.

A handler is made for each request and is done when its constructor returns.  ``finish`` is called if ``setup`` has
succeeded, whatever ``handle`` did.  The two subclasses make files of the request, so that one ``handle`` serves
streams and datagrams: it reads from ``rfile`` and writes to ``wfile``.

Read next: ``thread_mixin`` and ``fork_mixin``, which choose where that happens.
"""

from __future__ import annotations

import socket
from io import BufferedIOBase, BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from _typeshed import ReadableBuffer


class BaseRequestHandler:
    """Answers one request.  Subclasses have ``handle``, and find ``request``, ``client_address`` and ``server``."""

    def __init__(self, request: Any, client_address: Any, server: Any) -> None:
        self.request = request
        self.client_address = client_address
        self.server = server
        self.setup()
        try:
            self.handle()
        finally:
            self.finish()

    def setup(self) -> None:
        """Get ready; called before ``handle``."""

    def handle(self) -> None:
        """Answer the request."""

    def finish(self) -> None:
        """Clean up; called after ``handle``, also when that raised, unless ``setup`` did."""


class StreamRequestHandler(BaseRequestHandler):
    """A handler for connections: ``rfile`` reads from the peer, ``wfile`` writes to it."""

    #: The buffer of ``rfile``: -1 for the default size, 0 for none.
    rbufsize = -1

    #: The buffer of ``wfile``: with 0, each write is sent at once and whole.
    wbufsize = 0

    #: Seconds that one operation on the connection may take; None: forever.
    timeout: float | None = None

    #: Send small pieces without waiting for the peer's acknowledgement (TCP_NODELAY).
    disable_nagle_algorithm = False

    rfile: Any
    wfile: Any

    def setup(self) -> None:
        """Make ``connection``, ``rfile`` and ``wfile``."""
        self.connection = self.request
        if self.timeout is not None:
            self.connection.settimeout(self.timeout)
        if self.disable_nagle_algorithm:
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        self.rfile = self.connection.makefile("rb", self.rbufsize)
        if self.wbufsize == 0:
            self.wfile = _SocketWriter(self.connection)
        else:
            self.wfile = self.connection.makefile("wb", self.wbufsize)

    def finish(self) -> None:
        """Send what ``wfile`` still holds, as far as the peer takes it, and close both files."""
        try:
            try:
                if not self.wfile.closed:
                    self.wfile.flush()
            finally:
                self.wfile.close()  # which flushes again, and closes also if that fails again
        except OSError:
            pass  # the peer has gone: it does not miss anything
        finally:
            self.rfile.close()


class _SocketWriter(BufferedIOBase):
    """A file without a buffer that writes all or raises: ``sendall`` as a file."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        self._sock.sendall(data)
        with memoryview(data) as view:
            return view.nbytes

    def fileno(self) -> int:
        return int(self._sock.fileno())


class DatagramRequestHandler(BaseRequestHandler):
    """A handler for datagrams: ``rfile`` holds the one that came, what is in ``wfile`` at the end is the answer."""

    rfile: Any
    wfile: Any

    def setup(self) -> None:
        """Make ``packet``, ``socket``, ``rfile`` and ``wfile``."""
        self.packet, self.socket = self.request
        self.rfile = BytesIO(self.packet)
        self.wfile = BytesIO()

    def finish(self) -> None:
        """Send the answer, which may be empty, to where the datagram came from."""
        self.socket.sendto(self.wfile.getvalue(), self.client_address)
