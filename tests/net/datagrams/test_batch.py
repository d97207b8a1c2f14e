"""Batches by themselves: addresses to and from the kernel's form, who has batches, and what C refuses."""

from __future__ import annotations

import socket
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.errors import AccelUnavailable
from reactor.limits import DATAGRAM_BATCH
from reactor.net.datagrams.batch import ADDRESS_BYTES, Batch, open_batch, pack_address, unpack_address
from reactor.net.datagrams.batched_endpoint import make_endpoint
from reactor.net.datagrams.endpoint import DatagramEndpoint
from reactor.net.sockets.opening import open_datagram_socket
from tests.conftest import native_problem
from tests.net.notes import Notes, batched, drained, echo, opened, peers_on
from tests.net.stage import stage_on

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or native_problem() is not None, reason=f"no batches: {native_problem()}"
)

# -- addresses -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_address_is_the_one_that_recvfrom_gives(host: str) -> None:
    """To the last of its numbers; and it packs to what the kernel wrote."""
    with peers_on(host, 2) as [near, far]:
        for _ in range(3):
            far.sendto(b"x", near.getsockname())
        _, expected = near.recvfrom(10)
        batch = Batch()
        assert batch.receive(near.fileno()) == [(b"x", expected)] * 2
        assert unpack_address(batch.packed(expected) or b"") == expected
        with pytest.raises(BlockingIOError):
            batch.receive(near.fileno())


@given(st.ip_addresses(v=6), st.integers(0, 65_535), st.integers(0, 0xFFFFF), st.integers(0, 2**32 - 1))
def test_an_ipv6_address_packs_and_unpacks_to_itself(host: Any, port: int, flow: int, scope: int) -> None:
    """All four numbers of it."""
    address = (socket.inet_ntop(socket.AF_INET6, host.packed), port, flow, scope)
    packed = pack_address(address) or b""
    assert len(packed) == ADDRESS_BYTES
    assert unpack_address(packed) == address


@pytest.mark.parametrize(
    "address",
    [("fe80::1%lo", 1), ("127.0.0.1", 1, 0), ("::1", 1, 0x100000), ("::1", 1, 0, -1), ("::1", 1, 0, "lo")],
)
def test_an_address_is_left_to_the_socket_when_it_has_a_form_of_its_own(address: Any) -> None:
    """A zone by name is looked up there; the others are refused in its words."""
    assert pack_address(address) is None


def test_the_addresses_that_are_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody may send from as many as there are; each is right all the same."""
    monkeypatch.setattr("reactor.net.datagrams.batch.KNOWN_ADDRESSES", 2)
    with batched(datagram_received=echo) as (stage, notes, endpoint, _), peers_on(count=9) as peers:
        for peer in peers:
            peer.sendto(b"x", endpoint.get_extra_info("sockname"))
        stage.settle()
        assert [call[2] for call in notes.calls[1:]] == [peer.getsockname() for peer in peers]
        assert [drained(peer) for peer in peers] == [[b"x"]] * 9
        batch = stage._shared.batch()
        assert batch is not None
        assert max(len(batch._tuples), len(batch._packed)) <= 4


# -- who has batches -------------------------------------------------------------------------------------------


def test_an_endpoint_is_on_the_plain_path_when_nothing_compiled_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    """And so is a Unix one always."""
    with stage_on() as stage:
        _, unix = opened(stage, "@reactor-test-batch")
        assert type(unix) is DatagramEndpoint
    monkeypatch.setenv("REACTOR_ACCEL", "pure")
    assert open_batch() is None


@pytest.mark.parametrize("choice", ["auto", "native"])
def test_a_missing_module_is_an_error_when_it_is_demanded_and_none_when_not(
    choice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The socket is closed in the first case, and on the plain path in the second."""

    def missing() -> Any:
        raise ModuleNotFoundError(name="reactor._accel")

    monkeypatch.setattr("reactor.net.datagrams.batch.native_backend", missing)
    monkeypatch.setenv("REACTOR_ACCEL", choice)
    monkeypatch.setenv("REACTOR_PUMP", "off")
    with stage_on() as stage:
        sock = open_datagram_socket(stage.ops, ("127.0.0.1", 0))
        if choice == "native":
            with pytest.raises(AccelUnavailable, match="not built"):
                make_endpoint(stage._shared, sock, Notes())
            assert sock.fileno() == -1
        else:
            assert type(make_endpoint(stage._shared, sock, Notes())) is DatagramEndpoint


# -- the C code ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("jobs", "size", "names"),
    [
        ([2, 0], 1, 0), ([0, 0], 1, 0), ([-1, 0], 1, 0), ([1, 2], 1, 1), ([1, 0], 1, 1), ([1, -1], 1, 1),
        ([2**63 - 1, 0, 2, 0], 1, 0), ([0, 0] * (DATAGRAM_BATCH + 1), 0, 0),
    ],
)  # fmt: skip
def test_c_sends_nothing_when_the_jobs_do_not_add_up(jobs: list[int], size: int, names: int) -> None:
    """Whatever is wrong is found before the first byte leaves."""
    from reactor._accel import ffi, lib

    with peers_on(count=2) as [near, far]:
        near.connect(far.getsockname())
        table, why = ffi.new("int64_t[]", jobs), ffi.new("int *")
        sent = lib.batch_send(near.fileno(), table, len(jobs) // 2, b"x" * size, size, b"x" * names, names, why)
        assert sent < 0
        assert drained(far) == []


def test_c_and_python_count_alike() -> None:
    """The numbers of ``batch.h`` are those of ``limits`` and ``batch``."""
    from reactor._accel import lib

    assert (lib.BATCH_DATAGRAMS, lib.BATCH_ADDRESS) == (DATAGRAM_BATCH, ADDRESS_BYTES)
