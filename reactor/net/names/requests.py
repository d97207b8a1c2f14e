"""What can be asked about names, and what is made of the answers.

The system has nine functions for one matter, grown over forty years: by name, by address, by both, with and
without aliases, IPv4 only or every family.  A program that is written after a textbook knows them by name, so all
of them are here, each as a function that makes a ``Request``:

    call, args    what to ask the system, and, as ``key``, what makes two questions the same one
    is_instant    whether asking cannot block: a number needs no name server, nor does a name of the host table
    finish        what is made of the answer for this one asker, anew each time: nobody is given a list that
                  somebody else may change

The port is not part of a question about a host.  It is put into the addresses by ``finish``, so that connections
to several ports of one machine are one look-up.

The nine functions are asked of the reactor's ``ops`` if it has a method of that name (``getaddrinfo`` it always
has), else of the system.  Read next: ``lookup``.
"""

from __future__ import annotations

import socket
from functools import partial

from reactor.arguments import LARGEST_INT, checked_whole
from reactor.errors import AddressError
from reactor.limits import MAX_HOST_NAME
from reactor.net.names.failures import HOST, NAME, SERVICE, Kind, no_data
from reactor.net.sockets.addresses import checked_host, checked_port, numeric_family

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from reactor.net.names.host_table import HostTable
    from reactor.ops import Ops

    #: Family, kind, protocol and socket address.
    Target = tuple[int, int, int, Any]

#: What "every interface" and "everybody here" are called by Python, and their addresses.
SPECIAL = {"": "0.0.0.0", "<broadcast>": "255.255.255.255"}


class Request:
    """One question about *subject*, which is in lower case the first item of its ``key``."""

    __slots__ = ("args", "call", "excuse", "finish", "is_instant", "key", "kind", "subject")

    def __init__(
        self,
        kind: Kind,
        subject: object,
        call: Callable[..., Any],
        *args: Any,
        finish: Callable[[Any], Any],
        is_instant: bool = False,
        excuse: Any = None,
    ) -> None:
        self.kind = kind
        self.subject = subject
        self.call = call
        self.args = args
        self.finish = finish
        self.is_instant = is_instant
        #: What is answered instead of a failure of the name service; None: the failure.
        self.excuse = excuse
        self.key = (str(subject).lower(), call, *args)

    def ask(self, ops: Ops) -> Any:
        """Ask the system, and return its answer or the exception that it raised.  May block; any thread."""
        try:
            return self.call(ops, *self.args)
        except Exception as exc:
            return exc.with_traceback(None)  # it holds the frames of this thread, and may be kept

    def result(self, answer: Any) -> Any:
        """Return what the one who asked is given for *answer*: a value, or an exception of ours."""
        if not isinstance(answer, Exception):
            return self.finish(answer)
        if self.excuse is not None and isinstance(answer, socket.herror | socket.gaierror):
            return self.excuse
        return self.kind.failure_of(self.subject, answer)


# -- from a name to addresses ----------------------------------------------------------------------------------


def getaddrinfo(
    hosts: HostTable, host: str | None, port: int | str | None, family: int, kind: int, proto: int, flags: int
) -> Request:
    """socket.getaddrinfo.  A *port* that is text is the name of a service."""
    if isinstance(port, str):
        return _addresses(hosts, host, _checked_service(port), family, kind, proto, flags, list)
    if port is None:
        return _addresses(hosts, host, None, family, kind, proto, flags, list)
    finish = partial(_with_port, checked_port(port))
    return _addresses(hosts, host, 0, family, kind, proto, flags, finish)


def targets(hosts: HostTable, host: str | None, port: int, family: int, kind: int, flags: int) -> Request:
    """What a connector wants: getaddrinfo without canonical names, and without duplicates."""
    return _addresses(hosts, host, 0, family, kind, 0, flags, partial(_targets, checked_port(port)))


def gethostbyname(hosts: HostTable, host: str) -> Request:
    """socket.gethostbyname: the first IPv4 address, as text."""
    if isinstance(host, str) and host in SPECIAL:
        return _given(NAME, host, SPECIAL[host])
    return _addresses(hosts, checked_name(host), 0, socket.AF_INET, socket.SOCK_STREAM, 0, 0, _first_host)


def _addresses(
    hosts: HostTable,
    host: str | None,
    service: int | str | None,
    family: int,
    kind: int,
    proto: int,
    flags: int,
    finish: Callable[[Any], Any],
) -> Request:
    for hint, number in (("family", family), ("kind", kind), ("proto", proto), ("flags", flags)):
        checked_whole(hint, number, 0, LARGEST_INT)
    name = None if host is None else _folded(checked_name(host))
    numbers = hosts.numbers(name)
    is_number = name is None or numbers is not None or numeric_family(name) != 0
    return Request(
        NAME, host, _ask_addresses, (name,) if numbers is None else numbers, name, service,
        family, kind, proto, flags | (socket.AI_NUMERICHOST if is_number else 0),
        finish=finish, is_instant=is_number and not isinstance(service, str),
    )  # fmt: skip


def gethostbyname_ex(hosts: HostTable, host: str) -> Request:
    """socket.gethostbyname_ex: (name, aliases, IPv4 addresses)."""
    name = _folded(checked_name(host))
    numbers = hosts.numbers(name)
    if numbers is None and numeric_family(name) == socket.AF_INET:
        numbers = (name,)
    if numbers is None:
        return Request(NAME, host, _ask, "gethostbyname_ex", name, finish=_host_entry)
    numbers = tuple(number for number in numbers if numeric_family(number) == socket.AF_INET)
    return _given(NAME, host, (name, (), numbers) if numbers else no_data(), _host_entry)


def _ask_addresses(
    ops: Ops, numbers: tuple[str | None, ...], name: str | None, service: Any, *hints: int
) -> list[Any]:
    """Ask for the addresses of one name, or put together those of the numbers that a host table gives it."""
    found: list[Any] = []
    refusal: Exception = no_data()
    for number in numbers:
        try:
            found += ops.getaddrinfo(number, service, *hints)
        except socket.gaierror as exc:  # a number of another family, if there are several
            refusal = exc
    if not found:
        raise refusal if numbers else no_data()
    if numbers == (name,):
        return found
    return [(*entry[:3], name if entry[3] else "", entry[4]) for entry in found]


def _with_port(port: int, found: list[Any]) -> list[Any]:
    return [(*entry[:4], (entry[4][0], port, *entry[4][2:])) for entry in found]


def _targets(port: int, found: list[Any]) -> list[Target]:
    return list(dict.fromkeys((*entry[:3], entry[4]) for entry in _with_port(port, found)))


def _first_host(found: list[Any]) -> str:
    return str(found[0][4][0])


# -- from an address to names ----------------------------------------------------------------------------------


def gethostbyaddr(hosts: HostTable, host: str) -> Request:
    """socket.gethostbyaddr: (name, aliases, addresses) of an address, or of the first address of a name."""
    return _named(hosts, checked_name(host), _host_entry)


def getfqdn(hosts: HostTable, host: str, ops: Ops) -> Request:
    """socket.getfqdn: the first of the names that has a dot, else the proper one; *host* itself if it has none."""
    name = host.strip() if isinstance(host, str) else host
    if name in ("", "0.0.0.0", "::"):
        name = str(_ask(ops, "gethostname"))
    return _named(hosts, checked_name(name), _full_name, excuse=name)


def getnameinfo(hosts: HostTable, address: Any, flags: int) -> Request:
    """socket.getnameinfo: (name, service) of a socket address, which is numeric."""
    if not (isinstance(address, tuple) and 2 <= len(address) <= 4 and numeric_family(checked_host(address[0]))):
        raise AddressError(f"a socket address is (numeric host, port), or with flow and scope, not {address!r}")
    host, port = address[0], checked_port(address[1])
    checked_whole("flags", flags, 0, LARGEST_INT)
    names = [] if flags & socket.NI_NUMERICHOST else hosts.names(host)
    if names:
        flags = flags & ~socket.NI_NAMEREQD | socket.NI_NUMERICHOST
    is_numeric = bool(flags & socket.NI_NUMERICSERV)
    return Request(
        HOST, host, _ask, "getnameinfo", (host, 0 if is_numeric else port, *address[2:]), flags,
        finish=partial(_host_and_service, names, str(port) if is_numeric else ""),
        is_instant=is_numeric and bool(flags & socket.NI_NUMERICHOST),
    )  # fmt: skip


def _named(hosts: HostTable, host: str, finish: Callable[[Any], Any], excuse: str | None = None) -> Request:
    numbers = hosts.numbers(host)
    if numbers is None and numeric_family(host):
        numbers = (host,) if hosts.names(host) else None
    if numbers is None:
        return Request(HOST, host, _ask, "gethostbyaddr", _folded(host), finish=finish, excuse=excuse)
    entry: Any = no_data()
    if numbers:
        first, *others = hosts.names(numbers[0])
        entry = (first, tuple(others), numbers[:1])
    return _given(HOST, host, entry, finish, excuse)


def _host_entry(entry: Any) -> tuple[str, list[str], list[str]]:
    name, aliases, addresses = entry
    return name, list(aliases), list(addresses)


def _full_name(entry: Any) -> str:
    name, aliases, _ = entry
    return next((candidate for candidate in (name, *aliases) if "." in candidate), str(name))


def _host_and_service(names: list[str], port: str, found: Any) -> tuple[str, str]:
    host, service = found
    return (names[0] if names else host), port or service


# -- services and protocols ------------------------------------------------------------------------------------


def getservbyname(name: str, protocol: str | None) -> Request:
    """socket.getservbyname: the port."""
    return _in_table("getservbyname", _checked_service(name), protocol)


def getservbyport(port: int, protocol: str | None) -> Request:
    """socket.getservbyport: the name."""
    return _in_table("getservbyport", checked_port(port), protocol)


def getprotobyname(name: str) -> Request:
    """socket.getprotobyname: the number that socket() takes."""
    return _in_table("getprotobyname", _checked_service(name), None)


def _in_table(function: str, sought: str | int, protocol: str | None) -> Request:
    more = () if protocol is None else (_checked_service(protocol),)
    return Request(SERVICE, sought, _ask, function, sought, *more, finish=_as_it_is)


# -- asking ----------------------------------------------------------------------------------------------------


def checked_name(host: str) -> str:
    """Return *host* if it can be a name or a numeric address, of bounded length; else raise AddressError."""
    if len(checked_host(host)) > MAX_HOST_NAME:
        raise AddressError(f"a host name has at most {MAX_HOST_NAME} characters; {host[:32]!r}... has {len(host)}")
    return host


def _folded(host: str) -> str:
    """Return *host* in lower case if it is a name; the zone of a numeric address is an interface, such as enP2p1s0,
    in whose name the case counts."""
    return host if numeric_family(host) else host.lower()


def _checked_service(name: str) -> str:
    if not (isinstance(name, str) and name and "\0" not in name and len(name) <= MAX_HOST_NAME):
        raise AddressError(f"a service or protocol is called by a name, not {name!r}")
    return name


def _ask(ops: Ops, function: str, *args: Any) -> Any:
    """Call the function of that name: of *ops*, else of the system."""
    return (getattr(ops, function, None) or getattr(socket, function))(*args)


def _given(
    kind: Kind, subject: str, answer: Any, finish: Callable[[Any], Any] | None = None, excuse: Any = None
) -> Request:
    """Return a request whose *answer* is known: a value, or an exception."""
    return Request(kind, subject, _answer, answer, finish=finish or _as_it_is, is_instant=True, excuse=excuse)


def _answer(ops: Ops, answer: Any) -> Any:
    if isinstance(answer, Exception):
        raise answer
    return answer


def _as_it_is(answer: Any) -> Any:
    return answer
