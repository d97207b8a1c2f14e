"""Ways to feed a codec, and what came of it in a form that can be compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hypothesis import strategies as st

from reactor.errors import FramingError
from reactor.framing import Codec

#: The frames, and the error's class and text if there was one.
Outcome = tuple[list[bytes], tuple[type[FramingError], str] | None]


def drive(codec: Codec, chunks: Iterable[bytes], *, direct: bool = False, eof: bool = True) -> Outcome:
    """Feed *chunks* and the end; with *direct*, receive into ``receive_buffer`` whenever the codec offers it."""
    frames: list[bytes] = []
    try:
        for chunk in chunks:
            rest = receive(codec, chunk, frames) if direct else chunk
            frames += codec.feed(rest)
        if eof:
            frames += codec.feed_eof()
    except FramingError as fault:
        return frames + fault.frames, (type(fault), str(fault))
    return frames, None


def receive(codec: Codec, chunk: bytes, frames: list[bytes]) -> bytes:
    """Put as much of *chunk* as possible where a socket would, and return what is left to feed."""
    while chunk and (room := codec.receive_buffer) is not None:
        part = chunk[: len(room)]
        room[: len(part)] = part
        frames += codec.buffer_updated(len(part))
        chunk = chunk[len(part) :]
    return chunk


def pieces(stream: bytes, size: int) -> Iterator[bytes]:
    """Cut *stream* into chunks of *size* bytes."""
    return (stream[at : at + size] for at in range(0, len(stream), size))


def cut_at(stream: bytes, cuts: Iterable[int]) -> list[bytes]:
    """Cut *stream* at the positions *cuts*, taken modulo its length."""
    edges = sorted({cut % (len(stream) + 1) for cut in cuts})
    return [stream[begin:end] for begin, end in zip([0, *edges], [*edges, len(stream)], strict=True)]


#: Where a stream is cut, for ``cut_at``.
cuts = st.lists(st.integers(0, 10_000), max_size=12)
