"""A socket without a kernel: every answer is scripted, every call is recorded.

What a stream must survive is rare in a real kernel and cannot be had on demand: a ``send`` that takes one byte of a
thousand, a reset between two reads, an ``accept`` without descriptors.  Here each is one step of a script::

    sock = ScriptedSocket()
    sock.script("recv", b"hel", BlockingIOError, b"lo", b"")     # three bytes, nothing, two bytes, end of file
    sock.script("send", 1, BlockingIOError, BrokenPipeError())   # takes one byte, would block, is gone

The steps of ``recv`` serve ``recv_into``, ``recvfrom``, ``recvfrom_into`` and ``recvmsg_into`` as well, those of
``send`` also ``sendmsg`` and ``sendto``, those of ``connect`` also ``connect_ex``.  When the steps are used up,
reading and accepting would block, sending takes everything, and the rest succeeds.  The descriptor is a number far
above what the system hands out, so only a ``ScriptedPoller`` can watch it, and nobody can close a real file by
mistake.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable, Sequence
from itertools import count
from typing import TYPE_CHECKING

from reactor.testing.script import ORDINARY, Script

if TYPE_CHECKING:
    from typing import Any

_next_fd = count(1_000_000_000).__next__


class ScriptedSocket:
    """A double of ``socket.socket``.  ``sent`` holds the bytes it took, ``calls`` what was asked of it."""

    __slots__ = (
        "__weakref__", "_fd", "_script", "family", "options", "peername", "proto", "sent", "sockname", "timeout",
        "type",
    )  # fmt: skip

    def __init__(
        self,
        family: int = socket.AF_INET,
        kind: int = socket.SOCK_STREAM,
        *,
        sockname: Any = ("192.0.2.1", 1),
        peername: Any = ("192.0.2.2", 2),
    ) -> None:
        self.family = family
        self.type = kind
        self.proto = 0
        self.sockname = sockname
        self.peername = peername
        self.sent = bytearray()
        self.options: dict[tuple[int, int], Any] = {}
        self.timeout: float | None = 0.0
        self._fd = _next_fd()
        self._script = Script()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} fd={self._fd}>"

    def script(self, method: str, *steps: Any) -> ScriptedSocket:
        """Append *steps* to those of *method*; return the socket itself.

        An exception is raised.  Otherwise a step of ``recv`` is the bytes received (a datagram: ``(bytes,
        address)``; of a stream, what does not fit into the reader's buffer stays for the next), of ``send`` how
        many bytes are taken, of ``accept`` a pair ``(socket, address)``, of ``connect`` an errno, and of any other
        the value returned.
        """
        self._script.add(method, steps)
        return self

    @property
    def calls(self) -> list[tuple[Any, ...]]:
        """Every call so far as ``(method, *arguments)``; bytes for buffers sent, sizes for buffers filled."""
        return self._script.calls

    def _step(self, method: str, *args: Any, steps_of: str = "") -> Any:
        """Record a call and take its step.  Raises EBADF when closed."""
        self._script.note(method, *args)
        if self._fd < 0:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self._script.next(steps_of or method)

    # -- receiving ---------------------------------------------------------------------------------------------

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Return the next scripted bytes, at most *size*."""
        return self._receive("recv", size)[0]

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Put the next scripted bytes into *buffer* and return how many."""
        return self._fill("recv_into", buffer, nbytes)[0]

    def recvfrom(self, size: int, flags: int = 0) -> tuple[bytes, Any]:
        """Return the next scripted datagram, cut to *size*, and where it came from."""
        return self._receive("recvfrom", size)

    def recvfrom_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> tuple[int, Any]:
        """Put the next scripted datagram into *buffer*; return how many bytes, and where they came from."""
        return self._fill("recvfrom_into", buffer, nbytes)

    def recvmsg_into(
        self, buffers: Sequence[Any], ancbufsize: int = 0, flags: int = 0
    ) -> tuple[int, list[Any], int, Any]:
        """Put the next scripted message into the first of *buffers*; return its whole size, credentials that say
        nothing, flags and address.

        An empty step is the end and comes without credentials; an empty message is the step ``(b"", address)``.
        """
        view = memoryview(buffers[0]).cast("B")
        step = self._step("recvmsg_into", len(view), ancbufsize, flags, steps_of="recv")
        if step is ORDINARY:
            raise BlockingIOError(errno.EAGAIN, "the script has no more input")
        data, address = step if isinstance(step, tuple) else (bytes(step), self.peername)
        cut = data[: len(view)]
        view[: len(cut)] = cut
        notes = [(socket.SOL_SOCKET, getattr(socket, "SCM_CREDENTIALS", 2), bytes(12))] if step else []
        return len(data), notes, socket.MSG_TRUNC if len(cut) < len(data) else 0, address

    def _fill(self, method: str, buffer: Any, nbytes: int) -> tuple[int, Any]:
        view = memoryview(buffer).cast("B")
        data, address = self._receive(method, nbytes or len(view))
        view[: len(data)] = data
        return len(data), address

    def _receive(self, method: str, size: int) -> tuple[bytes, Any]:
        step = self._step(method, size, steps_of="recv")
        if step is ORDINARY:
            raise BlockingIOError(errno.EAGAIN, "the script has no more input")
        data, address = step if isinstance(step, tuple) else (bytes(step), self.peername)
        if len(data) > size and self.type == socket.SOCK_STREAM:
            self._script.put_back("recv", data[size:])
        return data[:size], address

    # -- sending -----------------------------------------------------------------------------------------------

    def send(self, data: Any, flags: int = 0) -> int:
        """Take as many bytes of *data* as the script says, and return how many."""
        return self._take("send", bytes(data))

    def sendmsg(self, buffers: Iterable[Any], ancdata: Any = (), flags: int = 0, address: Any = None) -> int:
        """As ``send``, for the bytes of all *buffers* together."""
        return self._take("sendmsg", b"".join(buffers))

    def sendto(self, data: Any, *flags_and_address: Any) -> int:
        """As ``send``; the call is recorded with its address."""
        return self._take("sendto", bytes(data), flags_and_address[-1])

    def _take(self, method: str, data: bytes, *args: Any) -> int:
        step = self._step(method, data, *args, steps_of="send")
        taken = data if step is ORDINARY else data[:step]
        self.sent += taken
        return len(taken)

    # -- connecting and accepting ------------------------------------------------------------------------------

    def accept(self) -> tuple[Any, Any]:
        """Return the next scripted ``(socket, address)``."""
        step: Any = self._step("accept")
        if step is ORDINARY:
            raise BlockingIOError(errno.EAGAIN, "the script has no more connections")
        sock, address = step
        return sock, address

    def connect_ex(self, address: Any) -> int:
        """Return the next scripted errno, 0 without one."""
        step = self._step("connect_ex", address, steps_of="connect")
        return 0 if step is ORDINARY else int(step)

    def connect(self, address: Any) -> None:
        """Raise the next scripted errno, if it is not 0."""
        step = self._step("connect", address)
        if step is not ORDINARY and step != 0:
            raise OSError(step, os.strerror(step))

    def bind(self, address: Any) -> None:
        """Take *address* for its own."""
        self._step("bind", address)
        self.sockname = address

    def listen(self, backlog: int = 128) -> None:
        """Do nothing; what arrives is up to ``script("accept", ...)``."""
        self._step("listen", backlog)

    # -- ending ------------------------------------------------------------------------------------------------

    def shutdown(self, how: int) -> None:
        """Record it."""
        self._step("shutdown", how)

    def close(self) -> None:
        """Give up the descriptor.  A second time it does nothing, like a socket's."""
        self._script.note("close")
        self._fd = -1

    def detach(self) -> int:
        """Give up the descriptor and return it."""
        fd, self._fd = self._fd, -1
        self._script.note("detach")
        return fd

    # -- asking and setting ------------------------------------------------------------------------------------

    def fileno(self) -> int:
        """Return the made-up descriptor, -1 when closed.  Not recorded."""
        return self._fd

    def setblocking(self, flag: bool) -> None:
        """Note whether calls may block; they never do."""
        self._step("setblocking", flag)
        self.timeout = None if flag else 0.0

    def settimeout(self, timeout: float | None) -> None:
        """Note *timeout*."""
        self._step("settimeout", timeout)
        self.timeout = timeout

    def gettimeout(self) -> float | None:
        """Return what ``setblocking`` or ``settimeout`` set: 0.0 for non-blocking, which is how it begins."""
        return self.timeout

    def getsockopt(self, level: int, option: int, size: int = 0) -> Any:
        """Return the next scripted value, else what ``setsockopt`` set, else 0 (SO_ERROR: no error)."""
        step = self._step("getsockopt", level, option)
        return self.options.get((level, option), 0) if step is ORDINARY else step

    def setsockopt(self, level: int, option: int, value: Any, *size: int) -> None:
        """Keep *value*."""
        self._step("setsockopt", level, option, value)
        self.options[level, option] = value

    def getsockname(self) -> Any:
        """Return ``sockname``, or what is scripted."""
        step = self._step("getsockname")
        return self.sockname if step is ORDINARY else step

    def getpeername(self) -> Any:
        """Return ``peername``, or what is scripted."""
        step = self._step("getpeername")
        return self.peername if step is ORDINARY else step

    def __enter__(self) -> ScriptedSocket:
        """Return the socket itself: ``with`` closes it at the end."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Close the socket."""
        self.close()
