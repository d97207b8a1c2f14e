"""Frames that end with a delimiter, and lines.

**Idea.**  ``bytes.split`` already is the scanner in C that we would have to write: it finds the delimiter with
``memchr`` or a two-way search *and* makes the frames in the same loop.  So this format needs no C of ours.

**Linear time.**  What arrives behind an unfinished frame is searched from where the last search ended, less the
length of the delimiter (it may have been cut in two).  A peer that drips a byte at a time costs one look per byte.

**The limit** counts the bytes before the delimiter.  A frame is refused as soon as so many bytes have come
without one that none can follow in time: ``max_frame_length`` and what a delimiter may have begun.

**Sending many** is one ``join``, and a look at the whole: if there are as many delimiters as payloads, none of
these contains one.  (That holds for delimiters of one byte; longer ones may also arise where two pieces meet.)

Rejected: ``bytes.splitlines``, which also ends a line at a lone CR.  Read next: ``netstring``.
"""

from __future__ import annotations

from collections.abc import Iterable

from reactor.arguments import not_iterable
from reactor.errors import FrameMalformed, OptionError
from reactor.framing.codec import ONLY_BYTES, Codec, checked_limit, flat_bytes
from reactor.framing.partial import Partial
from reactor.framing.seam import FULL, MORE, UNTERMINATED, Payload, Scan, Scanner
from reactor.limits import MAX_FRAME_LENGTH

#: Payloads below which ``encode_many`` is faster as a loop over ``encode``.
FEW = 4

#: Bytes that are split at once where they may hold more frames than are wanted: what is behind those is copied.
SPLIT_BYTES = 16 * 1024


class Unterminated(Partial):
    """The start of a frame that has no delimiter yet: worth a look when one comes, or when it is too long."""

    __slots__ = ("_delimiter",)

    def __init__(self, start: bytes, delimiter: bytes, enough: int) -> None:
        super().__init__(start, enough, [])
        self._delimiter = delimiter

    def add(self, data: bytes) -> bytes | None:
        """Append *data*; return all bytes if they contain a delimiter or are too many, else None."""
        buffer = self._buffer
        # All of the buffer was searched before, but its end may be the start of a delimiter of several bytes.
        unsearched = max(0, len(buffer) - len(self._delimiter) + 1)
        buffer += data
        if len(buffer) >= self.need or buffer.find(self._delimiter, unsearched) >= 0:
            return bytes(buffer)
        return None

    def vacancy(self) -> None:
        """Return None: nobody knows how long the frame will be."""
        return None


def delimiter_scanner(delimiter: bytes, limit: int, slack: int, ending: bytes) -> Scanner:
    """Return a scanner for frames before *delimiter*, of at most *limit* bytes.

    An unfinished one may have *slack* bytes more, the start of a delimiter.  *ending* is put back behind each.
    """

    def scan(data: bytes, at: int, most: int) -> Scan:
        size = len(data) - at
        if size <= most:  # there cannot be more frames than bytes
            frames = data[at:].split(delimiter)
            end, verdict = len(data) - len(frames.pop()), MORE  # the rest is b"" if the chunk ends with a delimiter
        else:
            frames, end = split_off(data, at, most, delimiter)
            verdict = MORE if len(frames) < most else FULL
        if size > limit:  # or none of its parts can be longer
            lawful = before_too_long(frames, limit)
            if len(lawful) < len(frames) or (verdict == MORE and len(data) - end > limit + slack):
                # Those before it are lawful frames, and are delivered; what is behind it is nobody's any more.
                frames, verdict = lawful, UNTERMINATED
        if ending:
            frames = [frame + ending for frame in frames]
        return frames, end, verdict, 0

    return scan


def split_off(data: bytes, at: int, most: int, delimiter: bytes) -> tuple[list[bytes], int]:
    """Return what is before each *delimiter* from *at* on, but for no more than *most* of them, and where the last
    of these ends.  Costs no more than to look at so much, however much is behind it."""
    frames: list[bytes] = []
    while len(frames) < most:
        stop = min(at + SPLIT_BYTES, len(data))
        parts = data[at:stop].split(delimiter, most - len(frames))
        at = stop - len(parts.pop())
        frames += parts
        if stop == len(data):
            break
        if not parts:  # the frame is longer than what was split
            stop = data.find(delimiter, at)
            if stop < 0:
                break
            frames.append(data[at:stop])
            at = stop + len(delimiter)
    return frames, at


def before_too_long(frames: list[bytes], limit: int) -> list[bytes]:
    """Return the frames before the first that is longer than *limit*: nearly always all of them."""
    if max(map(len, frames), default=0) <= limit:
        return frames
    return frames[: next(index for index, frame in enumerate(frames) if len(frame) > limit)]


def line_scanner(limit: int) -> Scanner:
    """Return a scanner for lines of at most *limit* bytes that end with LF or CR LF; both are stripped."""
    # One byte more than the limit: it may be the CR of the ending, and is judged again without it.
    by_feed = delimiter_scanner(b"\n", limit + 1, 0, b"")

    def scan(data: bytes, at: int, most: int) -> Scan:
        lines, end, verdict, value = by_feed(data, at, most)
        if data.find(b"\r", at, end) >= 0:
            lines = [line.removesuffix(b"\r") for line in lines]
        if end - at > limit:
            lawful = before_too_long(lines, limit)
            if len(lawful) < len(lines):
                return lawful, end, UNTERMINATED, 0
        return lines, end, verdict, value

    return scan


def are_many(payloads: list[Payload], limit: int) -> bool:
    """Return True if *payloads* are so many that a look at the whole pays, all bytes, and none too long."""
    return len(payloads) >= FEW and ONLY_BYTES.issuperset(map(type, payloads)) and max(map(len, payloads)) <= limit


def ended(payloads: list[Payload], ending: bytes) -> bytes:
    """Return *payloads* with *ending* behind each."""
    return ending.join((*payloads, b""))


class Delimited(Codec):
    """Frames that each end with *delimiter*, one byte or several; it is stripped unless *keep* is true.

    With *keep*, ``feed`` delivers each frame with its delimiter and ``encode`` wants it there, once, at the end.
    ``max_frame_length`` counts the bytes before it.  A stream that ends without one raises FrameTruncated.
    """

    __slots__ = ("_delimiter", "_keep")

    settings = (*Codec.settings, "_delimiter", "_keep")

    def __init__(
        self, delimiter: bytes = b"\n", *, keep: bool = False, max_frame_length: int = MAX_FRAME_LENGTH
    ) -> None:
        """Raises OptionError if *delimiter* is empty or not bytes, or the limit is not positive."""
        if not isinstance(delimiter, bytes) or not delimiter:
            raise OptionError(f"delimiter is one byte or more, as bytes, not {delimiter!r}")
        checked_limit(max_frame_length)
        slack = len(delimiter) - 1
        ending = delimiter if keep else b""
        super().__init__(delimiter_scanner(delimiter, max_frame_length, slack, ending), max_frame_length)
        self._delimiter = delimiter
        self._keep = keep

    def encode(self, payload: Payload) -> bytes:
        """Return *payload* and the delimiter.

        Raises FrameMalformed if the receiver would find a delimiter elsewhere than at its end, FrameTooLong.
        """
        if type(payload) is not bytes:
            payload = flat_bytes(payload)
        whole = payload if self._keep else payload + self._delimiter
        size = len(whole) - len(self._delimiter)
        if size > self.max_frame_length:
            self._too_long(size)
        # The whole is searched, as the receiver will do it: b"xab" contains no b"aba", but with b"aba" behind it
        # one begins at its second byte.
        if size < 0 or whole.find(self._delimiter) != size:
            rule = "ends with the delimiter and contains no other" if self._keep else "contains no delimiter"
            raise FrameMalformed(f"a payload {rule}, and together they begin no earlier one: {self._delimiter!r}")
        return whole

    def encode_many(self, payloads: Iterable[Payload]) -> bytes:
        """Return ``encode`` of each of *payloads*, joined; raise what it raises, and then nothing is returned."""
        try:
            payloads = payloads if isinstance(payloads, list) else list(payloads)
        except TypeError as exc:
            raise not_iterable("payloads", payloads, exc) from None
        if len(self._delimiter) == 1 and not self._keep and are_many(payloads, self.max_frame_length):
            data = ended(payloads, self._delimiter)
            if data.count(self._delimiter) == len(payloads):  # no payload has one inside
                return data
        return super().encode_many(payloads)

    def _held(self, rest: bytes, need: int) -> Partial:
        return Unterminated(rest, self._delimiter, self.max_frame_length + len(self._delimiter))


class Lines(Codec):
    r"""Lines of bytes: LF and CR LF both end one and are stripped; ``encode`` writes *ending*.

    *ending* is ``b"\n"`` or ``b"\r\n"``.
    The last line may lack its end: ``feed_eof`` delivers it.  A CR that no LF follows is an ordinary byte.
    ``max_frame_length`` counts neither CR nor LF of the ending.
    """

    __slots__ = ("_ending",)

    settings = (*Codec.settings, "_ending")

    def __init__(self, *, ending: bytes = b"\n", max_frame_length: int = MAX_FRAME_LENGTH) -> None:
        """Raises OptionError if *ending* is neither of the two, or the limit is not positive."""
        if ending not in (b"\n", b"\r\n"):
            raise OptionError(rf"ending is b'\n' or b'\r\n', not {ending!r}")
        super().__init__(line_scanner(checked_limit(max_frame_length)), max_frame_length)
        self._ending = ending

    def encode(self, payload: Payload) -> bytes:
        """Return *payload* and the ending.

        Raises FrameMalformed if it contains LF, or ends with a CR that would be taken for part of the ending.
        """
        if type(payload) is not bytes:
            payload = flat_bytes(payload)
        if len(payload) > self.max_frame_length:
            self._too_long(len(payload))
        if b"\n" in payload or (payload[-1:] == b"\r" and self._ending == b"\n"):
            raise FrameMalformed("a line contains no LF, and no CR at its end unless the ending is CR LF")
        return payload + self._ending

    def encode_many(self, payloads: Iterable[Payload]) -> bytes:
        """Return ``encode`` of each of *payloads*, joined; raise what it raises, and then nothing is returned."""
        try:
            payloads = payloads if isinstance(payloads, list) else list(payloads)
        except TypeError as exc:
            raise not_iterable("payloads", payloads, exc) from None
        if are_many(payloads, self.max_frame_length):
            data = ended(payloads, self._ending)
            is_clear = self._ending == b"\r\n" or b"\r" not in data or b"\r\n" not in data
            if is_clear and data.count(b"\n") == len(payloads):
                return data
        return super().encode_many(payloads)  # one of them is to be refused, and it will say which

    def _held(self, rest: bytes, need: int) -> Partial:
        return Unterminated(rest, b"\n", self.max_frame_length + 2)

    def _last(self, partial: Partial) -> list[bytes]:
        line = partial.snapshot()
        if len(line) > self.max_frame_length:
            self._refuse([], UNTERMINATED, 0)
        return [line]
