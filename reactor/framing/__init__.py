"""Framing: from a stream of bytes to frames and back, without a socket in sight.

TCP carries bytes, not messages: what one ``send`` wrote may arrive in two reads, or two sends in one.  A codec
puts the boundaries back.  Everything in this folder is sans-IO: bytes go in, frames or an error come out, and
nothing here knows a socket, a selector, a thread or a clock.  So all of it can be tested by feeding it.

Read in this order: ``partial`` (what is held of an incomplete frame), ``codec`` (the contract), ``seam`` (what a
scanner owes), ``scanner_pure`` (its specification), ``scanner_accel`` (the same through C), ``scanner`` (which of
the two), then the formats: ``raw``, ``fixed``, ``delimiter``, ``netstring``, ``length``.
"""

from __future__ import annotations

from reactor.framing.codec import Codec
from reactor.framing.length import LengthPrefixed
from reactor.framing.scanner import accel_status
from reactor.later import later

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from reactor.framing.delimiter import Delimited, Lines
    from reactor.framing.fixed import FixedSize
    from reactor.framing.netstring import Netstrings
    from reactor.framing.raw import Raw
else:  # a type checker that saw it would take every name for one that is here
    __getattr__ = later(
        __name__,
        {
            "Delimited": "reactor.framing.delimiter",
            "FixedSize": "reactor.framing.fixed",
            "Lines": "reactor.framing.delimiter",
            "Netstrings": "reactor.framing.netstring",
            "Raw": "reactor.framing.raw",
        },
    )

__all__ = ["Codec", "Delimited", "FixedSize", "LengthPrefixed", "Lines", "Netstrings", "Raw", "accel_status"]
