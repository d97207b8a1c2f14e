"""A system with a name service of its own: it says what the test wants, when the test wants it.

``answers`` holds what each function of the ``socket`` module is answered, by function and first argument; what is
not there is unknown, in the manner of that function.  Everything that was asked is in ``asked``.

With ``is_slow`` each question waits in its thread for ``release``, so a test decides what is under way.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from reactor.net.sockets.addresses import numeric_family
from reactor.ops import Ops

#: Of a name and an address that nobody has (RFC 6761, RFC 5737), what the system says.
NO_NAME = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
NO_HOST = socket.herror(1, "Unknown host")
UNKNOWN = {
    "getaddrinfo": NO_NAME,
    "gethostbyname_ex": NO_NAME,
    "gethostbyaddr": NO_HOST,
    "getnameinfo": NO_NAME,
    "getservbyname": OSError("service/proto not found"),
    "getservbyport": OSError("port/proto not found"),
    "getprotobyname": OSError("protocol not found"),
}


def found(*numbers: str) -> list[Any]:
    """Return what getaddrinfo(3) returns of a host with these numbers."""
    return [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (number, 0, 0, 0))
        if ":" in number
        else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (number, 0))
        for number in numbers
    ]


class NameService(Ops):
    """The real system, but for names."""

    def __init__(self, answers: dict[tuple[str, Any], Any] | None = None, *, is_slow: bool = False) -> None:
        self.answers = answers or {}
        self.asked: list[tuple[Any, ...]] = []
        self.threads: list[threading.Thread] = []
        self._gate = threading.Semaphore(0)
        self._arrival = threading.Semaphore(0)
        self.is_slow = is_slow

    def release(self, count: int = 1) -> None:
        """Let *count* questions be answered."""
        self._gate.release(count)

    def await_asked(self, count: int = 1) -> None:
        """Wait until *count* more questions have arrived."""
        for _ in range(count):
            assert self._arrival.acquire(timeout=10)

    def start_thread(self, target: Callable[[], None], name: str) -> threading.Thread:
        self.threads.append(super().start_thread(target, name))
        return self.threads[-1]

    def _answer(self, function: str, *args: Any) -> Any:
        self.asked.append((function, *args))
        self._arrival.release()
        if self.is_slow:
            self._gate.acquire()
        answer = self.answers.get((function, args[0]), UNKNOWN[function])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def getaddrinfo(self, host: Any, port: Any, family: int, kind: int, proto: int, flags: int) -> list[Any]:
        if flags & socket.AI_NUMERICHOST or numeric_family(host):
            return super().getaddrinfo(host, port, family, kind, proto, flags)
        taken: list[Any] = self._answer("getaddrinfo", host, port, family)
        return [entry for entry in taken if family in (0, entry[0])]

    def gethostname(self) -> str:
        return "here"

    def gethostbyname_ex(self, host: str) -> Any:
        return self._answer("gethostbyname_ex", host)

    def gethostbyaddr(self, host: str) -> Any:
        return self._answer("gethostbyaddr", host)

    def getnameinfo(self, address: Any, flags: int) -> Any:
        if flags & socket.NI_NUMERICHOST and flags & socket.NI_NUMERICSERV:
            return socket.getnameinfo(address, flags)
        return self._answer("getnameinfo", address, flags)

    def getservbyname(self, *args: str) -> Any:
        return self._answer("getservbyname", *args)

    def getservbyport(self, *args: Any) -> Any:
        return self._answer("getservbyport", *args)

    def getprotobyname(self, *args: str) -> Any:
        return self._answer("getprotobyname", *args)


@contextmanager
def slow_service(answers: dict[tuple[str, Any], Any] | None = None) -> Iterator[NameService]:
    """A slow name service, whose threads are let go at the end."""
    service = NameService(answers, is_slow=True)
    try:
        yield service
    finally:
        service.release(100)
        for thread in service.threads:
            thread.join(10)
