"""An event loop on select, poll and epoll: read it in an evening, watch it at work, trust a server to it.

    import reactor

    class Shout(reactor.FramedProtocol):
        codec = reactor.LengthPrefixed(4)

        def frame_received(self, frame):
            self.send_frame(frame.upper())

    loop = reactor.Reactor()
    loop.listen_tcp(Shout, "127.0.0.1", 8888)
    loop.run()

The floors, from the ground up; a file imports only from below::

    errors  limits  ops  telling/      what can go wrong, every number, the seam to the system, what is told
    core/  framing/  auth/  flow       the loop | codecs | handshake | watermarks  (know nothing of each other)
    net/  testing/                     sockets, streams, datagrams, names | doubles for tests
    service/                           servers and clients made of them
    compat/  load/                     drop-ins for modules of the standard library | the generator of load
    cli/                               the door: ``reactor serve``, ``call``, ``info``, ``demo`` and others

The evening is for the spine of the loop, from ``core/handles`` to ``core/loop``: about 1,500 lines.  Begin with the
page ``docs/life-of-a-frame.md``, then ``reactor.core.engine``: one turn of the loop.
"""

from reactor.core.handles import Handle, Timer
from reactor.core.loop import Loop
from reactor.core.polling.choose import available_pollers
from reactor.errors import ReactorError
from reactor.flow import Watermarks
from reactor.framing.codec import Codec
from reactor.framing.length import LengthPrefixed
from reactor.later import later
from reactor.net.connections.listener import Listener
from reactor.net.protocol import DatagramProtocol, FramedProtocol, Protocol
from reactor.net.reactor import Reactor
from reactor.net.sockets.addresses import format_address, parse_address
from reactor.net.stream.stream import Stream

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from reactor import errors as errors
    from reactor.framing.delimiter import Delimited, Lines
    from reactor.framing.fixed import FixedSize
    from reactor.framing.netstring import Netstrings
    from reactor.framing.raw import Raw
    from reactor.net.datagrams.endpoint import DatagramEndpoint
    from reactor.net.messages.protocol import MessageProtocol
    from reactor.net.messages.stream import MessageStream
    from reactor.net.stream.deadline import Deadline
    from reactor.net.stream.sendfile import FileSending
    from reactor.telling.probe import Probe
else:  # a type checker that saw it would take every name for one that is here
    __getattr__ = later(
        __name__,
        {
            "DatagramEndpoint": "reactor.net.datagrams.endpoint",
            "Deadline": "reactor.net.stream.deadline",
            "Delimited": "reactor.framing.delimiter",
            "FileSending": "reactor.net.stream.sendfile",
            "FixedSize": "reactor.framing.fixed",
            "Lines": "reactor.framing.delimiter",
            "MessageProtocol": "reactor.net.messages.protocol",
            "MessageStream": "reactor.net.messages.stream",
            "Netstrings": "reactor.framing.netstring",
            "Probe": "reactor.telling.probe",
            "Raw": "reactor.framing.raw",
        },
    )

__version__ = "0.1.0"

__all__ = [
    "Codec",
    "DatagramEndpoint",
    "DatagramProtocol",
    "Deadline",
    "Delimited",
    "FileSending",
    "FixedSize",
    "FramedProtocol",
    "Handle",
    "LengthPrefixed",
    "Lines",
    "Listener",
    "Loop",
    "MessageProtocol",
    "MessageStream",
    "Netstrings",
    "Probe",
    "Protocol",
    "Raw",
    "Reactor",
    "ReactorError",
    "Stream",
    "Timer",
    "Watermarks",
    "available_pollers",
    "format_address",
    "parse_address",
]
