"""Where a message ends: the three modes in which every service is offered.

    raw      nowhere.  A "message" is the chunk that one read happened to return.  What one ``send`` wrote may
    arrive
             in two chunks, or two sends in one: this is what TCP is, and it is what a plain ``recv(1024)`` sees.
    line     at LF or CR LF.  For people with a terminal.
    framed   after the length that the four bytes before it announce.  For programs: any bytes, empty messages too.

The same codecs cut a datagram into the messages that it holds.  A raw datagram is one message, even an empty
one: there the kernel keeps the boundaries.  Read next: ``catalog``.
"""

from __future__ import annotations

from collections.abc import Callable

from reactor.arguments import shown
from reactor.errors import OptionError
from reactor.framing.codec import Codec
from reactor.framing.delimiter import Lines
from reactor.framing.length import LengthPrefixed
from reactor.framing.raw import Raw
from reactor.framing.scanner import backend
from reactor.limits import MAX_FRAME_LENGTH

#: How each mode makes its codec, of a limit in bytes and a choice of scanner.
MODES: dict[str, Callable[[int, str | None], Codec]] = {
    "raw": lambda limit, accel: Raw(),
    "line": lambda limit, accel: Lines(max_frame_length=limit),
    "framed": lambda limit, accel: LengthPrefixed(4, max_frame_length=limit, accel=accel),
}


def codec_for(mode: str, *, max_frame_length: int = MAX_FRAME_LENGTH, accel: str | None = None) -> Codec:
    """Return the codec of *mode*, "raw", "line" or "framed".

    *accel* is "pure", "native" or None (the environment decides); only the framed mode has a scanner to choose,
    but a native one that was demanded and is missing is an error in every mode.  Raises OptionError,
    AccelUnavailable.
    """
    if not isinstance(mode, str) or mode not in MODES:
        raise OptionError(f"mode is one of {', '.join(MODES)}, not {shown(mode)}")
    backend(accel)
    return MODES[mode](max_frame_length, accel)
