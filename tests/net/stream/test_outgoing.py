"""Buffers on their way to the kernel: joined, gathered, taken in part, in any case in order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.limits import CORK_BYTES, GATHER_BUFFERS, JOIN_BYTES
from reactor.net.stream.outgoing import Buffer, drop_sent, frozen, transmit
from tests.net.virtual import names, scripted, sends


def test_bytes_are_not_copied_when_they_are_frozen() -> None:
    """bytes cannot change, so they are taken as they are."""
    data = b"as it is"
    assert frozen(data) is data


@pytest.mark.parametrize("data", [bytearray(b"abcd"), memoryview(b"abcd"), memoryview(b"abcd").cast("I")])
def test_a_copy_is_made_when_others_may_hold_the_buffer(data: bytearray | memoryview) -> None:
    """Everything else becomes bytes of its own, item size or not."""
    assert frozen(data) == b"abcd"
    assert type(frozen(data)) is bytes


def test_a_scalar_view_is_flattened() -> None:
    """A view without dimensions has no len() but it has bytes."""
    assert frozen(memoryview(b"abcd").cast("I", shape=[])) == b"abcd"


@pytest.mark.parametrize("data", ["text", 5, None, [1, 2], range(3)])
def test_a_type_error_names_the_type_when_it_is_not_bytes_like(data: object) -> None:
    """5 does not become five zero bytes, and a list of numbers no string of bytes."""
    with pytest.raises(TypeError, match=type(data).__name__):
        frozen(data)  # type: ignore[arg-type]


def test_few_small_buffers_leave_joined() -> None:
    """Up to JOIN_BYTES one ``send`` of all of them."""
    sock = scripted()
    buffers: list[Buffer] = [b"a" * (JOIN_BYTES - 2), b"b", memoryview(b"c")]
    assert transmit(sock, buffers, JOIN_BYTES) == JOIN_BYTES
    assert names(sock, "send", "sendmsg") == ["send"]


def test_large_buffers_leave_gathered() -> None:
    """Above JOIN_BYTES ``sendmsg``, and the list is left as it is."""
    sock = scripted()
    buffers: list[Buffer] = [b"a" * JOIN_BYTES, b"b"]
    assert transmit(sock, buffers, JOIN_BYTES + 1) == JOIN_BYTES + 1
    assert names(sock, "send", "sendmsg") == ["sendmsg"]
    assert len(buffers) == 2


def test_no_more_than_the_vector_takes_is_gathered() -> None:
    """GATHER_BUFFERS in one call; the rest has its turn in the next."""
    sock = scripted()
    buffers: list[Buffer] = [b"x" * CORK_BYTES] * (GATHER_BUFFERS + 1)
    assert transmit(sock, buffers, len(buffers) * CORK_BYTES) == GATHER_BUFFERS * CORK_BYTES


def test_a_million_small_buffers_leave_in_large_pieces() -> None:
    """Where a vector of small buffers would carry next to nothing, they are joined up to CORK_BYTES."""
    sock = scripted()
    buffers: list[Buffer] = [b"0123456789"] * 20_000
    size = 200_000
    while buffers:
        sent = transmit(sock, buffers, size)
        drop_sent(buffers, sent)
        size -= sent
    assert sock.sent == b"0123456789" * 20_000
    assert len(sends(sock)) <= 200_000 / (CORK_BYTES / 2)


def test_nothing_is_copied_twice_when_a_large_buffer_follows_small_ones() -> None:
    """Joining stops before a large buffer: that one is gathered as it is."""
    sock = scripted()
    large = bytes(10 * CORK_BYTES)
    buffers: list[Buffer] = [*([b"s"] * (GATHER_BUFFERS + 5)), large]
    transmit(sock, buffers, len(large) + GATHER_BUFFERS + 5)
    assert len(buffers) == 2
    assert buffers[1] is large
    assert len(sock.sent) == len(large) + GATHER_BUFFERS + 5


@pytest.mark.parametrize("refusal", [BlockingIOError, InterruptedError])
def test_zero_is_returned_when_the_kernel_takes_nothing(refusal: type[OSError]) -> None:
    """EAGAIN and EINTR are no errors."""
    assert transmit(scripted().script("send", refusal), [b"data"], 4) == 0


def test_an_error_is_raised_when_the_connection_is_broken() -> None:
    """What cannot be waited for is the caller's."""
    with pytest.raises(BrokenPipeError):
        transmit(scripted().script("send", BrokenPipeError()), [b"data"], 4)


@given(st.lists(st.binary(max_size=6), min_size=1, max_size=12), st.data())
def test_the_rest_is_the_rest_when_the_kernel_takes_any_prefix(pieces: list[bytes], data: st.DataObject) -> None:
    """Wherever the kernel stops, what is left are the bytes behind it; "full" is told inside of a buffer."""
    whole = b"".join(pieces)
    sent = data.draw(st.integers(0, len(whole)))
    buffers: list[Buffer] = list(pieces)
    stopped_inside = drop_sent(buffers, sent)
    assert b"".join(buffers) == whole[sent:]
    edges = {len(b"".join(pieces[:count])) for count in range(len(pieces) + 1)}
    assert stopped_inside == (sent not in edges)
