"""Socket addresses as people write them, and the way back.

The system's calls want a different shape for each family: ``(host, port)`` for IPv4, ``(host, port, flow,
scope)`` for IPv6, a path for Unix sockets, where a path that begins with a NUL byte is a name in the abstract
namespace.  People write all of them in one line of text:

    127.0.0.1:80    example.org:80    [::1]:80    [fe80::1%eth0]:80    :8080    unix:/run/app.sock    unix:@name

Both directions are here and pure: nothing is looked up and the system is not asked.  A numeral is decimal ASCII
digits and nothing else, although ``int()`` would take signs, spaces, underscores and the digits of other
scripts: two programs that read one text in two ways are how filters are passed by.  For the same reason an IPv6
address needs its brackets.

Read next: ``opening``, which binds to these addresses.
"""

from __future__ import annotations

import os
import socket
import struct
import sys

from reactor.arguments import shown
from reactor.errors import AddressError
from reactor.printable import printable

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    #: What the system says of a socket.  With IPv6 there are two more numbers, flow and scope, but a checker that
    #: knew would refuse ``connect_tcp(Client, *listener.address)`` to every program, for the few that it concerns.
    InternetAddress = tuple[str, int]
    UnixAddress = str | bytes

    #: What a socket may be told.
    Address = InternetAddress | tuple[str, int, int, int] | UnixAddress

#: Bytes in ``sockaddr_un.sun_path`` with the NUL that ends a path: see unix(7); 104 on the BSDs and macOS.
SUN_PATH_SIZE = 108 if sys.platform == "linux" else 104

EXAMPLES = "write it like 127.0.0.1:80, [::1]:80, example.org:80, :8080 or unix:/run/app.sock"


def format_address(address: Any) -> str:
    """Return *address*, as ``getsockname``, ``accept`` or ``getaddrinfo`` give it, in the form that people write.

    ``None`` and the empty address of an unbound Unix socket give "unnamed"; what is of no known shape gives its
    repr.  A peer may bind its socket to any path and any abstract name: what is not printable in it is escaped, so
    that it cannot write lines of its own into a log.  Never raises: it is used in messages about other errors.
    """
    if isinstance(address, tuple) and len(address) >= 2 and isinstance(address[0], str):
        return printable(_format_internet(*address))
    if isinstance(address, str | bytes | os.PathLike):
        return printable(_format_unix(os.fsdecode(address)))
    return "unnamed" if address is None else printable(repr(address))


def _format_internet(host: str, port: object, flow: object = 0, scope: object = 0, *rest: object) -> str:
    if ":" not in host:
        return f"{host}:{port}"
    zone = f"%{scope}" if scope and "%" not in host else ""
    return f"[{host}{zone}]:{port}"


def _format_unix(path: str) -> str:
    if not path:
        return "unnamed"
    return "unix:@" + path[1:].replace("\0", "@") if path[0] == "\0" else f"unix:{path}"


def parse_address(text: str) -> tuple[str, int] | str:
    """Return what *text* means: ``(host, port)``, or the path of a Unix socket (abstract ones begin with NUL).

    The host is returned without brackets, with its ``%zone`` if it has one; it is "" in ``:8080``, which means all
    interfaces.  Raises AddressError, saying what is wrong and what would be right.
    """
    if not isinstance(text, str):
        raise AddressError(f"an address is text, not {text!r}: {EXAMPLES}")
    if text.startswith("unix:"):
        return _parse_unix(text)
    host, colon, port = text.rpartition(":")
    if not colon or (host.startswith("[") and not host.endswith("]")):
        raise AddressError(f"{text!r} has no port: {EXAMPLES}")
    if host.startswith("["):
        host = host[1:-1]
        if ":" not in host:
            raise AddressError(f"{text!r} has brackets around what is not an IPv6 address: {EXAMPLES}")
    elif ":" in host:
        raise AddressError(f"{text!r} is ambiguous: put an IPv6 address into brackets, as in [::1]:80")
    if not host.isprintable() or any(letter in " []/" for letter in host):
        raise AddressError(f"{text!r} has a character that no host name has: {EXAMPLES}")
    return host, _parse_port(text, port)


def _parse_unix(text: str) -> str:
    path = text.removeprefix("unix:")
    if not path or path == "@":
        raise AddressError(f"{text!r} names no path: write it like unix:/run/app.sock or unix:@name")
    return os.fsdecode(checked_unix_path(path))


def _parse_port(text: str, port: str) -> int:
    if not (port.isascii() and port.isdigit() and len(port) <= 5):
        raise AddressError(f"the port in {text!r} is not a decimal number from 0 to 65535: {EXAMPLES}")
    return checked_port(int(port))


def checked_port(port: int) -> int:
    """Return *port* if it is an int from 0 to 65535, else raise AddressError."""
    if not isinstance(port, int) or isinstance(port, bool) or not 0 <= port <= 65535:
        raise AddressError(f"a port is an int from 0 to 65535 (0: the system chooses), not {shown(port)}")
    return port


def checked_host(host: str) -> str:
    """Return *host* if it can be a name or a numeric address, else raise AddressError.

    A NUL byte is refused: getaddrinfo(3) would end the name there and look up another one than was asked for.
    """
    if not isinstance(host, str) or not host or "\0" in host:
        # A tuple has no type here, but it is what a program has that forgets the star.
        hint = ": host and port are two arguments, so write *address" if type(host).__name__ == "tuple" else ""
        raise AddressError(f"a host is a name or a numeric address, not {shown(host)}{hint}")
    return host


def numeric_family(host: str) -> int:
    """Return AF_INET or AF_INET6 if *host* is a numeric address, with or without a ``%zone``, and 0 if it is not.

    Only the four decimal numbers count for IPv4, see inet_pton(3): "127.1" and "0x7f.1" are names here.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.inet_pton(family, host.partition("%")[0] if family == socket.AF_INET6 else host)
    except (OSError, ValueError):
        return 0
    return family


def scoped_address(address: Any, interface_index: Callable[[str], int]) -> Any:
    """Return the socket address *address* with the ``%zone`` of its host as the number that the kernel wants.

    A link-local address means something on one interface only, so it is written ``fe80::1%eth0``; sockaddr_in6 has
    a field of its own for that, and Python's socket methods drop a zone that they find in the text.
    *interface_index* is ``ops.interface_index``.  Raises AddressError if there is no such interface.
    """
    host, mark, zone = address[0].partition("%")
    if not mark:
        return address
    try:
        scope = int(zone) if zone.isascii() and zone.isdigit() else interface_index(zone)
    except OSError as exc:
        raise AddressError(f"{address[0]!r} is on no interface of this machine: {exc.strerror}") from exc
    return host, address[1], address[2] if len(address) > 2 else 0, scope


def checked_unix_path(path: str | bytes | os.PathLike[str]) -> str | bytes:
    """Return *path* as the system's calls want it: "@name" becomes the abstract name "\\0name".

    Raises AddressError if it is no path, is empty, has a NUL byte in it, or does not fit into ``sun_path``.  A file
    whose name begins with "@" is written "./@name".
    """
    try:
        text: str | bytes = os.fspath(path)
        raw = os.fsencode(text)
    except (TypeError, UnicodeEncodeError):  # a lone surrogate that no file name was decoded to
        raise AddressError(f"the path of a Unix socket is text, bytes or a Path, not {shown(path)}") from None
    if not raw.strip(b"@\0"):
        raise AddressError(f"a Unix socket needs a path or an abstract name, not {path!r}")
    if raw[:1] in (b"@", b"\0"):
        return _checked_length(b"\0" + raw[1:], SUN_PATH_SIZE, path)
    if b"\0" in raw:
        raise AddressError(f"the path {path!r} has a NUL byte in it: the system would end it there")
    _checked_length(raw, SUN_PATH_SIZE - 1, path)
    return text


def _checked_length(raw: bytes, limit: int, path: object) -> bytes:
    if len(raw) > limit:
        raise AddressError(
            f"the Unix socket path {path!r} has {len(raw)} bytes, more than the {limit} that the system takes: "
            "use a shorter folder, or a path relative to the working directory"
        )
    return raw


def is_abstract(path: str | bytes) -> bool:
    """Return True if *path*, as a user or ``checked_unix_path`` gives it, is an abstract name: it has no file."""
    return path[:1] in ("@", "\0", b"@", b"\0")


def compact_address(address: Any) -> Any:
    """Return *address* in a form that takes little memory, to be kept per connection; see ``expanded_address``.

    An Internet address in the system's shape takes some 150 bytes; as one integer, of its packed bytes, 32 or 56.
    Whatever else it is stays as it is.
    """
    if not isinstance(address, tuple) or len(address) not in PACKED_LAYOUT:
        return address  # among them one that is compact already
    family, layout = PACKED_LAYOUT[len(address)]
    host, *rest = address
    try:
        # A leading one keeps the zero bytes of the address in the number, and so tells the families apart.
        return int.from_bytes(b"\1" + socket.inet_pton(family, host) + layout.pack(*rest), "big")
    except (OSError, TypeError, ValueError, struct.error):
        return address


def is_ipv4(compact: Any) -> bool:
    """Return True if the compact address is one of IPv4: of 4 + 2 bytes, behind the leading one."""
    return isinstance(compact, int) and compact < 1 << 49


def expanded_address(compact: Any) -> Any:
    """Return the address that ``compact_address`` was given."""
    if not isinstance(compact, int):
        return compact
    raw = compact.to_bytes((compact.bit_length() + 7) // 8, "big")[1:]
    family, layout = PACKED_LAYOUT[2 if len(raw) == 6 else 4]
    return (socket.inet_ntop(family, raw[: -layout.size]), *layout.unpack(raw[-layout.size :]))


#: By the length of an address: its family, and the layout of what follows the host: port, flow, scope.
PACKED_LAYOUT = {
    2: (socket.AF_INET, struct.Struct("!H")),
    4: (socket.AF_INET6, struct.Struct("!HII")),
}
