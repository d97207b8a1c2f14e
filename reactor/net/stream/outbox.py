"""What waits to be sent on one stream, and nothing else: no socket, no protocol, no decision.

Bytes wait in two places, and these are all there are::

    corked    pieces collected since the stream was corked, as they were given: payloads that ``codec`` has yet to
              make frames of, or, without a codec, bytes.  ``room`` is how many bytes more may be collected; it is
              negative if the stream is not corked, can send nothing more, or has something pending
    pending   bytes, counted in ``pending_bytes``, that come before all that is corked

A file that is to be sent (see ``sendfile``) adds a third place, which is seldom there::

    files     the first file, and behind it whatever was written or sent later, ``files.size`` bytes besides files

It comes behind what is pending, and before all that is corked.  While it is there ``pending`` is a list, if an
empty one: something waits.

**Invariant:** ``room >= 0`` only if ``corked`` is a list and nothing is pending.  So whoever writes may put a piece
into ``corked`` if there is room, and take its size from ``room``: no byte can overtake another.  That is the hot
path, and protocols do it themselves, if it is the loop's thread that runs them.  Everything else goes through
``settle``, which makes pending bytes of what is corked, in order.

A stream that is given another protocol gets another outbox (``succeed``), which takes over what waits.  The old one
never has room again, so a protocol that has been replaced cannot put a payload where another codec would frame it.

Read next: ``protocol``, which puts payloads in, and ``stream``, which sends.
"""

from __future__ import annotations

from collections import deque

from reactor.framing.seam import RAW
from reactor.limits import CORK_BYTES
from reactor.net.stream.outgoing import Buffer, drop_sent

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from typing import Any

    from reactor.core.loop import Loop
    from reactor.framing.codec import Codec
    from reactor.net.stream.sendfile import FileSending


class Files(deque):  # type: ignore[type-arg]  # of bytes and FileSending
    """The first file that is to be sent, and what is behind it: bytes, ``size`` of them in all, and more files."""

    __slots__ = ("size",)

    def __init__(self) -> None:
        self.size = 0


class Outbox:
    """See the head of this module.  *codec* makes frames of what is corked, None: it is bytes; *format* is the
    number by which the pump knows that codec.  *loop* is whose thread may put something in; an outbox without it is
    shut."""

    __slots__ = (
        "capacity", "codec", "corked", "files", "format", "is_posted", "loop", "pending", "pending_bytes", "room",
    )  # fmt: skip

    def __init__(self, loop: Loop | None = None, codec: Codec[Any, Any] | None = None, format: int = RAW) -> None:
        self.loop: Any = loop
        self.codec = codec
        self.format = format
        #: The room of a corked outbox in which nothing is pending; -1 when nothing more may be sent.
        # No more than a frame may hold, so that a payload for which there is room is never too long for the codec.
        self.capacity = CORK_BYTES if codec is None else min(CORK_BYTES, codec.max_frame_length)
        self.corked: list[bytes] | None = None
        self.room = -1
        self.pending: list[Buffer] | None = None
        self.pending_bytes = 0
        self.files: Files | None = None
        #: The pump is to send what is corked, along with what others have.
        self.is_posted = False

    def cork(self) -> bool:
        """Collect what is written from now on.  Return False if that is so already: whoever corks, uncorks."""
        if self.corked is not None:
            return False
        self.corked = []
        # With something pending there is no room, and each piece has to go the long way, which puts it behind that.
        self.room = self.capacity if self.pending is None else -1
        return True

    def uncork(self) -> list[bytes] | None:
        """Collect no more; return what was collected."""
        corked, self.corked = self.corked, None
        self.room = -1
        self.is_posted = False
        return corked

    def joined(self, corked: list[bytes]) -> bytes:
        """Return the bytes that *corked* pieces come to."""
        if self.codec is None:
            return corked[0] if len(corked) == 1 else b"".join(corked)
        return self.codec.frame(corked)

    def settle(self) -> None:
        """Make pending bytes of what is corked: something has to come behind it, or wants to know its size."""
        if self.corked:
            data = self.joined(self.corked)
            self.corked = []
            self.add(data)

    def add(self, data: bytes) -> None:
        """Have *data* wait behind all that waits.  What is corked was settled before."""
        if self.files is not None:
            self.files.append(data)
            self.files.size += len(data)
            return
        if self.pending is None:
            self.pending = [data]
            self.room = -1  # the invariant: what is put in directly would overtake this
        else:
            self.pending.append(data)
        self.pending_bytes += len(data)

    def put_back(self, data: bytes, sent: int) -> None:
        """The kernel took only the first *sent* bytes of *data*, before which nothing was pending: the rest is."""
        self.add(data)  # all of it, so that one function cuts what was sent from the front
        if sent > 0:
            self.took(sent)

    def took(self, sent: int) -> bool:
        """The kernel took *sent* bytes of what was pending.  Return True if it may take more at once."""
        self.pending_bytes -= sent
        if not self.pending_bytes:
            if self.files is not None:
                self.pending = []
                return False
            self.pending = None
            if self.corked is not None:
                self.room = self.capacity  # still corked, and nothing is before it any more: the short way is open
            return False
        # If the kernel stopped inside a buffer its own is full, and to ask again at once is a call for nothing.
        pending = self.pending
        return pending is not None and not drop_sent(pending, sent) and sent > 0

    def add_file(self, sending: FileSending) -> None:
        """Have a file wait behind all that waits."""
        self.settle()
        self.room = -1
        if self.pending is None:
            self.pending = []
        if self.files is None:
            self.files = Files()
        self.files.append(sending)

    def drop_file(self, sending: FileSending) -> None:
        """Take *sending* out; the bytes behind it are pending if no other file is before them."""
        files, pending = self.files, self.pending
        if files is None or pending is None:
            return
        files.remove(sending)
        while files and isinstance(data := files[0], bytes):
            files.popleft()
            pending.append(data)
            self.pending_bytes += len(data)
            files.size -= len(data)
        if not files:
            self.files = None
            if not pending:
                self.took(0)  # nothing waits any more

    def shut(self) -> None:
        """Take nothing more; what is here may still leave."""
        self.capacity = self.room = -1  # the capacity too, or the next ``cork`` would make room again

    def clear(self) -> list[FileSending]:
        """Forget what waits, and stay corked if this was corked.  Return the files among it."""
        dropped = [entry for entry in self.files or () if not isinstance(entry, bytes)]
        self.pending = self.files = None
        self.pending_bytes = 0
        if self.corked is not None:
            self.corked = []
            self.room = self.capacity
        return dropped

    def frame_with(self, codec: Codec[Any, Any], format: int) -> None:
        """Make frames of what is put in from now on.  What is here already, without a codec, is bytes."""
        if self.corked:
            self.settle()
        self.codec, self.format = codec, format
        if self.capacity >= 0:
            self.capacity = min(CORK_BYTES, codec.max_frame_length)
        if self.corked is not None and self.pending is None:
            self.room = self.capacity

    def succeed(self, codec: Codec[Any, Any] | None = None, format: int = RAW) -> Outbox:
        """Return an outbox for another codec, with what waits here; this one has no room any more."""
        self.settle()  # what was corked was meant for this codec, which the heir does not have
        heir = Outbox(self.loop, codec, format)
        heir.pending, heir.pending_bytes = self.pending, self.pending_bytes
        heir.files = self.files
        # The heir is as open, as corked and as posted as this one: whoever corked this will uncork that.
        if self.capacity < 0:
            heir.shut()
        if self.corked is not None:
            heir.cork()
        heir.is_posted, self.is_posted = self.is_posted, False
        self.corked = self.pending = self.files = None
        self.pending_bytes = 0
        self.shut()
        return heir


#: Stands where a transport could be that makes frames of what it collects: it never has room for anything.
NO_OUTBOX = Outbox()
NO_OUTBOX.shut()
