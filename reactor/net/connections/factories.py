"""Whether a protocol factory can work, asked when a mistake can still be shown to the one who made it.

``listen_tcp(Echo())`` is the most common slip with a reactor: an instance where the class was meant.  A listener
that believes what it is given starts without a word and then fails once for each client, in a log that nobody
reads.  So each verb asks ``check_factory`` before it opens anything; that sees all that can be seen of a factory
without calling it: whether it is callable and, if it is a class, whether its instances can be protocols.

A function shows its mistakes only when it is called.  ``checked_protocol`` looks at what came back, once for each
connection, and names what is missing.  For ``connect_*``, ``adopt_*`` and datagrams that is still inside the call;
for a listener the connection is closed and the error is reported.

Protocols need no base class, so what counts is the methods.  Read next: ``acceptor``.
"""

from __future__ import annotations

from reactor.errors import ArgumentError
from reactor.net.protocol import BaseProtocol, FramedProtocol

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from typing import TypeVar

    P = TypeVar("P")


class Kind:
    """A kind of transport: what its protocols receive with (one of these methods), and who has that method."""

    __slots__ = ("base", "receivers")

    def __init__(self, base: str, *receivers: str) -> None:
        self.base = base
        self.receivers = receivers


STREAM = Kind("Protocol or FramedProtocol", "data_received", "get_buffer")
MESSAGES = Kind("MessageProtocol", "message_received")
DATAGRAMS = Kind("DatagramProtocol", "datagram_received")


def check_factory(verb: str, factory: object, kind: Kind | None) -> None:
    """Raise ArgumentError, which names *verb* and the remedy, if *factory* cannot make protocols of *kind*.

    *kind* is None where only the socket will tell.
    """
    if isinstance(factory, type):
        complaint = _complaint_of_class(factory, kind)
        if complaint:
            raise ArgumentError(f"{verb}(): {complaint}")
    elif not callable(factory):
        name = type(factory).__name__
        remedy = f"give it the class itself, {name}, or lambda: {name}(...)" if _is_like_protocol(factory) else (
            "give it the class of your protocol, or a function that returns one"
        )  # fmt: skip
        raise ArgumentError(
            f"{verb}() calls its factory to make a protocol for each connection, and an instance of {name} cannot "
            f"be called: {remedy}"
        )


def checked_protocol(protocol: P, factory: object, kind: Kind) -> P:
    """Return *protocol*, which *factory* made, if it can live on a transport of *kind*.

    Raises ArgumentError, which says what is missing.
    """
    if isinstance(protocol, type):
        # Its methods are all there, but they are functions that still want a self.
        complaint = f"the class {protocol.__name__} and no instance of it: return {protocol.__name__}()"
    elif not _is_like_protocol(protocol):
        complaint = f"{_named(protocol)}, which is no protocol: it has no connection_made() and connection_lost()"
    elif not any(hasattr(protocol, name) for name in kind.receivers):
        complaint = f"{_named(protocol)}, which has no {_either(kind)}: derive it from {kind.base}"
    elif isinstance(protocol, FramedProtocol) and not hasattr(protocol, "codec"):
        complaint = f"{_named(protocol)}, which has no codec: {_codec_remedy(type(protocol))}"
    else:
        return protocol
    raise ArgumentError(f"the factory {getattr(factory, '__qualname__', type(factory).__name__)} made {complaint}")


def _complaint_of_class(cls: type, kind: Kind | None) -> str:
    """Return why no instance of *cls* can be a protocol of *kind*; "" if that cannot be seen yet."""
    if hasattr(cls, "__getattr__"):
        return ""  # its instances answer for methods that the class does not show
    if not hasattr(cls, "connection_made"):
        return f"the class {cls.__name__} is no protocol: it has no connection_made()"
    if not issubclass(cls, BaseProtocol):
        return ""  # others may give their instances what they lack
    if kind is not None and not any(hasattr(cls, name) for name in kind.receivers):
        return f"the class {cls.__name__} has no {_either(kind)}: derive it from {kind.base}"
    # A class with an __init__ may set its codec there: checked_protocol will see.
    if issubclass(cls, FramedProtocol) and not hasattr(cls, "codec") and cls.__init__ is object.__init__:
        return f"the class {cls.__name__} has no codec: {_codec_remedy(cls)}"
    return ""


def _is_like_protocol(thing: object) -> bool:
    return hasattr(thing, "connection_made") and hasattr(thing, "connection_lost")


def _either(kind: Kind) -> str:
    return " and no ".join(f"{name}()" for name in kind.receivers)


def _named(protocol: object) -> str:
    """Name *protocol* without asking it: its ``__repr__`` is code that may be broken as well."""
    return "None" if protocol is None else f"an instance of {type(protocol).__name__}"


def _codec_remedy(cls: type) -> str:
    return f"write codec = LengthPrefixed(4), or another one, into the body of {cls.__name__}"
