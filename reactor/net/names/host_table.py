"""Names whose addresses the program itself decides, as ``/etc/hosts`` does for the system.

A test wants ``db.example`` to be a port on this machine; a container has been told by its environment where the
others are; a name is not to be found at all.  None of that is a reason to edit a file of the system's, so a
resolver has a table of its own and looks there first::

    loop.resolver.hosts["db.example"] = ["10.0.0.7", "fd00::7"]     # connect_tcp finds it there
    loop.resolver.hosts["ads.example"] = []                          # has no address, whoever asks

It is a mapping from names to lists of numeric addresses, in the order in which they are to be tried.  Names mean
the same in upper and lower case, and with the dot that ends a complete name in DNS.  The way back, from address
to names, is kept beside it, for the name of a peer: the first name that was given an address is its proper one.

Pure: nothing is looked up here.  Read next: ``requests``.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Mapping, MutableMapping

from reactor.errors import AddressError
from reactor.net.sockets.addresses import checked_host, numeric_family


class HostTable(MutableMapping[str, "list[str]"]):
    """A dictionary of names; the value is a list of numeric addresses, or one of them.

    Setting raises AddressError for a name that is none, or is a numeric address itself, and for an address that is
    not numeric.  Reading raises KeyError for a name that is not in it.
    """

    __slots__ = ("_addresses", "_names")

    def __init__(self, entries: Mapping[str, list[str]] | None = None) -> None:
        self._addresses: dict[str, tuple[str, ...]] = {}
        #: By address: the names that it has, in the order in which they were given it.
        self._names: dict[str, dict[str, None]] = {}
        self.update(entries or {})

    def __setitem__(self, name: str, addresses: Iterable[str]) -> None:
        key = _key(name)
        if not key or numeric_family(key):
            raise AddressError(f"{name!r} is no name that could be given an address")
        numbers = (addresses,) if isinstance(addresses, str) else tuple(addresses)
        for number in numbers:
            if not (isinstance(number, str) and numeric_family(number)):
                raise AddressError(f"{name!r} can only be given numeric addresses, not {number!r}")
        self.pop(name, None)
        once: dict[str, str] = {}
        for number in numbers:
            once.setdefault(_canonical(number), number)
        self._addresses[key] = tuple(once.values())
        for number in once:
            self._names.setdefault(number, {})[key] = None

    def __getitem__(self, name: str) -> list[str]:
        return list(self._addresses[_key(name)])

    def __delitem__(self, name: str) -> None:
        key = _key(name)
        for number in self._addresses.pop(key):
            spelling = _canonical(number)
            del self._names[spelling][key]
            if not self._names[spelling]:
                del self._names[spelling]

    def __iter__(self) -> Iterator[str]:
        return iter(self._addresses)

    def __len__(self) -> int:
        return len(self._addresses)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({dict(self)!r})"

    def numbers(self, name: str | None) -> tuple[str, ...] | None:
        """Return the addresses of *name*, perhaps none of them; None if the table does not know the name."""
        return None if name is None or not self._addresses else self._addresses.get(_key(name))

    def names(self, number: str) -> list[str]:
        """Return the names that have the numeric address *number*, the proper one first."""
        return list(self._names.get(_canonical(number), ())) if self._names else []


def _key(name: str) -> str:
    return checked_host(name).lower().rstrip(".")


def _canonical(number: str) -> str:
    """Return *number* in the one spelling that its address has: IPv6 has many."""
    host, mark, zone = number.partition("%")
    family = numeric_family(number)
    return socket.inet_ntop(family, socket.inet_pton(family, host)) + mark + zone
