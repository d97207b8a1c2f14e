"""Netstrings, by D. J. Bernstein: ``5:hello,``.

A length in decimal digits, a colon, the bytes, a comma.  Readable in a packet dump, and the length is known before
the data, so nothing is searched or escaped.  The grammar is strict, because two parsers that disagree about
``+5``, ``05``, ``5_0`` or an Arabic-Indic five can be made to see different messages in one stream: digits are the
bytes 0x30 to 0x39, a leading zero is allowed only in ``0:,``.  The number of digits is bounded by the limit's own,
so a peer that sends digits forever is refused before they are collected.

Source: https://cr.yp.to/proto/netstrings.txt.  Read next: ``length``.
"""

from __future__ import annotations

from reactor.framing.codec import Codec, checked_limit, flat_bytes
from reactor.framing.scanner import backend
from reactor.framing.seam import Payload
from reactor.limits import MAX_FRAME_LENGTH


class Netstrings(Codec):
    """Netstrings of at most *max_frame_length* payload bytes.

    *accel* is ``"pure"``, ``"native"`` or None (the environment decides).
    Empty ones are lawful.  A stream that ends inside of one raises FrameTruncated.
    """

    __slots__ = ()

    def __init__(self, max_frame_length: int = MAX_FRAME_LENGTH, *, accel: str | None = None) -> None:
        """Raises OptionError if the limit is not positive, AccelUnavailable if C was demanded and is missing."""
        scan = backend(accel).netstring_scanner(checked_limit(max_frame_length))
        super().__init__(scan, max_frame_length)

    def encode(self, payload: Payload) -> bytes:
        """Return *payload* as a netstring; FrameTooLong if it exceeds the limit."""
        payload = flat_bytes(payload)
        if len(payload) > self.max_frame_length:
            self._too_long(len(payload))
        return b"%d:%b," % (len(payload), payload)

    @property
    def carries_any_bytes(self) -> bool:
        """Whether every payload within the limit can be sent: yes."""
        return True
