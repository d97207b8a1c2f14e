"""Every byte is sent once, in order, or is counted as waiting: whatever the program writes and the kernel takes.

Random scripts against a model: what was written, what the socket took, and what the stream says that it holds.
"""

from __future__ import annotations

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from reactor.limits import CORK_BYTES, GATHER_BUFFERS, JOIN_BYTES
from reactor.testing import ScriptedSocket
from tests.net.recorder import Recorder
from tests.net.virtual import Virtual, virtually

SIZES = st.one_of(st.integers(0, 5), st.sampled_from([JOIN_BYTES, JOIN_BYTES + 1, CORK_BYTES, CORK_BYTES + 1]))

#: Write one piece; write several at once; do so inside of a delivery, or in a turn; let the kernel take so much.
STEPS = st.one_of(
    st.tuples(st.just("write"), SIZES),
    st.tuples(st.just("writelines"), st.lists(SIZES, max_size=4)),
    st.tuples(st.just("many"), st.integers(GATHER_BUFFERS - 1, 3 * GATHER_BUFFERS)),
    st.tuples(st.just("delivery"), st.lists(SIZES, max_size=4)),
    st.tuples(st.just("turn"), st.lists(SIZES, max_size=4)),
    st.tuples(st.just("kernel"), st.lists(st.one_of(st.none(), st.integers(0, 2 * CORK_BYTES)), max_size=4)),
    st.tuples(st.just("writable"), st.just(0)),
)


class Ledger:
    """A stream, its socket, and what should have become of every byte."""

    def __init__(self, virtual: Virtual) -> None:
        self.virtual = virtual
        self.written = bytearray()
        self.stream, self.sock = virtual.open(Recorder(data_received=self._reply))
        self.replies: list[int] = []
        self.piece = 0

    def next_piece(self, size: int) -> bytes:
        """Return *size* bytes that no other piece has, and book them."""
        self.piece += 1
        data = bytes([self.piece % 251]) * size
        self.written += data
        return data

    def _reply(self, me: Recorder, data: bytes) -> None:
        for size in self.replies:
            self.stream.write(self.next_piece(size))

    def do(self, step: str, detail: Any) -> None:
        """Take one step of the script."""
        if step == "write":
            self.stream.write(self.next_piece(detail))
        elif step == "writelines":
            self.stream.writelines([self.next_piece(size) for size in detail])
        elif step == "many":
            self.stream.writelines([self.next_piece(3) for _ in range(detail)])
        elif step == "delivery":
            self.replies = detail
            self.sock.script("recv", b"go")
            self.virtual.readable(self.sock)
        elif step == "turn":
            for size in detail:
                self.virtual.stage.call_soon(lambda size=size: self.stream.write(self.next_piece(size)))
            self.virtual.turn()
        elif step == "kernel":
            self.sock.script("send", *(BlockingIOError if taken is None else taken for taken in detail))
        else:
            self.virtual.writable(self.sock)

    def check(self) -> None:
        """Compare with the model."""
        assert self.written.startswith(self.sock.sent)
        assert self.stream.get_write_buffer_size() == len(self.written) - len(self.sock.sent)


def watched_for_writing(virtual: Virtual, sock: ScriptedSocket) -> bool:
    return bool(virtual.poller.get_key(sock).events & 2)


@given(script=st.lists(STEPS, max_size=14))
@example(script=[("kernel", [None]), ("many", 200), ("kernel", [100, 7, None]), ("writable", 0), ("write", 1)])
@example(script=[("kernel", [None]), ("write", 1), ("kernel", [0, 0, 5]), ("delivery", [CORK_BYTES + 1, 3])])
def test_every_byte_is_sent_once_or_is_counted(script: list[tuple[str, Any]]) -> None:
    """After each step the books are right, and writability is waited for exactly while something waits."""
    with virtually() as virtual:
        ledger = Ledger(virtual)
        ledger.stream.set_write_buffer_limits(high=1000)
        for step, detail in script:
            ledger.do(step, detail)
            ledger.check()
            waits = ledger.stream.get_write_buffer_size() > 0
            assert watched_for_writing(virtual, ledger.sock) == waits
        for _ in range(60):
            virtual.writable(ledger.sock)
        assert ledger.sock.sent == ledger.written
        protocol = ledger.stream.get_protocol()
        protocol.check_grammar()
        assert protocol.names[-1] != "pause_writing"
