"""Descriptors in messages: who owns them, what becomes of those that nobody asked for, and that none leaks.

The guard around every test fails it if a descriptor is left behind.
"""

from __future__ import annotations

import array
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from reactor.errors import DescriptorsLost, OptionError
from reactor.service.passing import MOST, Parcel, receive_descriptors, send_descriptors
from tests.cli.running import PATIENCE, environment


@pytest.fixture(params=["SOCK_STREAM", "SOCK_SEQPACKET"])
def ends(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected Unix sockets of each kind that can carry descriptors."""
    kind = getattr(socket, request.param, None)
    if kind is None:
        pytest.skip(f"this system has no {request.param}")
    left, right = socket.socketpair(socket.AF_UNIX, kind)
    for end in (left, right):
        end.settimeout(PATIENCE)
    with left, right:
        yield left, right


def count_open() -> int:
    """Return how many descriptors this process has."""
    return len(os.listdir("/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"))


def test_a_socket_arrives_open_and_works(ends: tuple[socket.socket, socket.socket]) -> None:
    """The sender may close its own at once; the receiver has another number for the same open socket."""
    left, right = ends
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    assert send_descriptors(left, b"web", [listener]) == 3
    listener.close()
    with receive_descriptors(right, 100, 1) as parcel:
        assert parcel.data == b"web"
        assert len(parcel) == 1
        [fd] = parcel.take()
    assert not os.get_inheritable(fd)
    with socket.socket(fileno=fd) as received, socket.create_connection(address, timeout=PATIENCE) as client:
        assert received.getsockname() == address
        with received.accept()[0] as accepted:
            assert accepted.getpeername() == client.getsockname()


def test_what_nobody_takes_is_closed(ends: tuple[socket.socket, socket.socket]) -> None:
    """At the end of the block, at ``close``, or when the parcel is forgotten."""
    left, right = ends
    before = count_open()
    for _ in range(3):
        send_descriptors(left, b"x", [left, right.fileno()])
    with receive_descriptors(right, 1, 2) as parcel:
        assert len(parcel) == 2
        assert count_open() == before + 2
    assert count_open() == before
    parcel = receive_descriptors(right, 1, 2)
    assert count_open() == before + 2
    parcel.close()
    parcel.close()
    parcel = receive_descriptors(right, 1, 2)
    del parcel
    assert count_open() == before


def test_messages_without_descriptors_and_the_end_are_parcels_too(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    """Empty ones."""
    left, right = ends
    send_descriptors(left, b"hello", [])
    parcel = receive_descriptors(right, 100, 10)
    assert (parcel.data, len(parcel)) == (b"hello", 0)
    left.close()
    parcel = receive_descriptors(right, 100, 10)
    assert (parcel.data, len(parcel)) == (b"", 0)


@pytest.mark.parametrize(("sent", "wanted"), [(1, 0), (2, 1), (3, 1), (5, 4), (MOST, 1)])
def test_more_than_were_asked_for_are_closed(
    ends: tuple[socket.socket, socket.socket], sent: int, wanted: int
) -> None:
    """All of them, since nobody knows which are missing; the next message is not harmed."""
    left, right = ends
    before = count_open()
    send_descriptors(left, b"x", [left] * sent)
    with pytest.raises(DescriptorsLost, match="closed"):
        receive_descriptors(right, 1, wanted)
    assert count_open() == before
    send_descriptors(left, b"y", [left] * wanted)
    with receive_descriptors(right, 1, wanted) as parcel:
        assert (parcel.data, len(parcel)) == (b"y", wanted)


def test_as_many_as_a_message_can_carry_arrive(ends: tuple[socket.socket, socket.socket]) -> None:
    """One more is the sender's mistake, and is not sent."""
    left, right = ends
    send_descriptors(left, b"x", [left] * MOST)
    with receive_descriptors(right, 1, MOST) as parcel:
        assert len(parcel) == MOST
    with pytest.raises(OptionError, match=f"at most {MOST} descriptors, not {MOST + 1}"):
        send_descriptors(left, b"x", [left] * (MOST + 1))
    with pytest.raises(OptionError, match="at least one byte"):
        send_descriptors(left, b"", [left])
    with pytest.raises(OptionError, match="ask for 0 to"):
        receive_descriptors(right, 1, MOST + 1)
    right.setblocking(False)
    with pytest.raises(BlockingIOError):
        receive_descriptors(right, 1, 1)


def test_a_bad_descriptor_is_refused_before_anything_is_sent(ends: tuple[socket.socket, socket.socket]) -> None:
    """As sendmsg(2) says it."""
    left, right = ends
    with pytest.raises(OSError, match="descriptor"):
        send_descriptors(left, b"x", [9999])
    right.setblocking(False)
    with pytest.raises(BlockingIOError):
        right.recv(1)


def test_other_ancillary_data_is_no_descriptor(ends: tuple[socket.socket, socket.socket]) -> None:
    """Credentials, for example, are numbers as well."""
    if not hasattr(socket, "SO_PASSCRED"):
        pytest.skip("this system has no SO_PASSCRED")
    left, right = ends
    right.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    send_descriptors(left, b"x", [left])
    with receive_descriptors(right, 1, 10) as parcel:
        assert len(parcel) == 1


STARVED = """
import array, os, resource, socket
from reactor.errors import DescriptorsLost
from reactor.service import receive_descriptors, send_descriptors
left, right = socket.socketpair()
send_descriptors(left, b"x", [left, left, left])
used = len(os.listdir("/proc/self/fd")) - 1
resource.setrlimit(resource.RLIMIT_NOFILE, (used + 1, 4096))
try:
    receive_descriptors(right, 1, 3)
except DescriptorsLost as exc:
    print(exc)
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
print(len(os.listdir("/proc/self/fd")) - 1 - used)
left.close()
right.close()
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="what is left open is looked up in /proc")
def test_what_does_not_fit_into_the_process_is_lost_and_no_leak() -> None:
    """The kernel delivers as many as there is room for and says that the rest is gone: those are closed too."""
    done = subprocess.run(
        [sys.executable, "-c", STARVED], env=environment(), capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "descriptors that came with a message were closed: this process has no room for more (ulimit -n), or its "
        "peer sent more than it should",
        "0",
    ]


def test_a_parcel_can_be_made_by_hand() -> None:
    """What is put into it is owned by it."""
    reading, writing = os.pipe()
    with Parcel(b"data", [reading, writing]) as parcel:
        assert array.array("i", parcel.take())[0] == reading
    assert len(parcel) == 0
    os.close(reading)
    os.close(writing)
