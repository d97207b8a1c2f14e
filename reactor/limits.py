"""Every number that bounds the reactor: its value, its unit, and who set the precedent.

A bound that hides inside a function cannot be questioned.  Here they stand together, so that a reader can
compare them with the kernel's own limits and with what other servers chose.  All of them are defaults: whatever
a user may want to change is also an argument of the class that uses it.

Byte counts end in ``_BYTES`` or are named ``SIZE``; durations are float seconds.  Read next: ``ops``.
"""

# -- reading ---------------------------------------------------------------------------------------------------

#: Bytes that one read event may take from one stream; also the size of the buffer that all streams of a reactor
#: share.  asyncio reads 256 KiB as well: large enough that a bulk transfer is few system calls, small enough that
#: one greedy peer cannot hold the turn.
SCRATCH_BYTES = 256 * 1024

#: Bytes of a large frame that one stream may take in one turn, straight into the frame's own buffer, before the
#: others have theirs: what has begun is better finished while its memory is near.  libuv reads up to 2 MiB.
TURN_BYTES = 1024 * 1024

#: Frames that are cut of one arrival, and that one stream delivers, in one turn before the others have theirs, and
#: seconds that it may take to deliver them: a segment holds a hundred thousand empty frames, and a handler may cost
#: milliseconds.
TURN_FRAMES = 512
STREAM_SECONDS = 0.0002

#: Where the pump receives for all streams of a turn; what does not fit is received by each stream itself.
ARENA_BYTES = 1024 * 1024

#: Ready streams, with as many frames, up to which the pump leaves receiving to each of them: its two calls cost
#: about as much as so many streams do without it.
PUMP_FEW = 8

#: Datagrams that one endpoint may receive in one turn before the others have theirs.
DATAGRAM_BATCH = 64

#: The largest payload that UDP can carry over IPv4 and IPv6 is below this (RFC 768: a 16-bit length field).
MAX_DATAGRAM_BYTES = 65_536

# -- writing ---------------------------------------------------------------------------------------------------

#: Unsent bytes above which a stream tells its protocol to pause, and below which to resume.  asyncio's defaults.
HIGH_WATER_BYTES = 64 * 1024
LOW_WATER_BYTES = 16 * 1024

#: Unsent bytes at which a stream is aborted: its peer does not read and its protocol does not listen to
#: ``pause_writing``.  Redis cuts a replica at 256 MiB and a subscriber at 32 MiB for the same reason.
WRITE_CAP_BYTES = 16 * 1024 * 1024

#: Corked bytes that do not wait for the end of the delivery: about what a loopback ``send`` takes at once.
CORK_BYTES = 64 * 1024

#: Up to this size, pending buffers are joined and sent; above it ``sendmsg`` gathers them.  Copying 16 KiB costs
#: less than building the vector for many small buffers.
JOIN_BYTES = 16 * 1024

#: Buffers in one ``sendmsg``: UIO_MAXIOV of Linux is 1024, but POSIX promises only 16; 64 serve every workload.
GATHER_BUFFERS = 64

#: Streams whose replies the pump collects before it sends them, and seconds for which the first of them waits for
#: the last: one call for many saves about a microsecond each, and nobody should wait longer for that.
OUTBOX_STREAMS = 64
OUTBOX_SECONDS = 0.0002

# -- connections -----------------------------------------------------------------------------------------------

#: Connections taken from one listening socket in one turn.  nginx accepts until EAGAIN only with
#: ``multi_accept``; libuv takes one; a batch keeps both the queue short and the other connections alive.
ACCEPT_BATCH = 64

#: Length asked for the queue of accepted connections, see listen(2); the kernel cuts it to ``somaxconn``.
BACKLOG = 1024

#: Seconds that a listener rests after the process ran out of file descriptors (asyncio: 1 s).
ACCEPT_BACKOFF = 1.0

#: Seconds for which a closed stream drains what its peer still sends, so that the last reply is not destroyed by
#: a reset (RFC 9112, section 9.6), and how many streams and bytes may be in that state.  nginx: 5 s, Apache: 2 s.
LINGER_TIMEOUT = 2.0
LINGER_STREAMS = 1024
LINGER_BYTES = 16 * 1024 * 1024

#: Seconds between two attempts to connect to the addresses of one name (RFC 8305, section 5), and for all of them.
CONNECT_ATTEMPT_DELAY = 0.25
CONNECT_TIMEOUT = 30.0

#: Keepalive probes: idle seconds before the first, seconds between two, and how many may stay unanswered
#: (tcp(7): the system's own 2 h, 75 s, 9 notice a dead peer after 2 h 11 min; these do after 2 min).
KEEPALIVE_IDLE = 60
KEEPALIVE_INTERVAL = 15
KEEPALIVE_COUNT = 4

#: Threads that look names up for one reactor, and questions that may wait for one of them.  libuv has 4 threads,
#: for names and files together, and no bound on what waits.
RESOLVER_THREADS = 4
RESOLVER_QUEUE = 1024

#: The longest host name that is looked up, in characters: 255 bytes in DNS (RFC 1035, section 2.3.4).
MAX_HOST_NAME = 255

#: Seconds for which the addresses of a name are believed, seconds for which it is believed to have none, and how
#: many answers are remembered.  Firefox and Chrome: 60 s; Java: 30 s and 10 s; Chrome has 1000 entries.
NAME_LIFETIME = 60.0
NAME_NEGATIVE_LIFETIME = 10.0
NAME_CACHE_ENTRIES = 1024

# -- framing ---------------------------------------------------------------------------------------------------

#: The longest frame that is sent or received (1 MiB).  Binds on both ends: the sender refuses, the receiver gives
#: up before it buffers.  Netty and tokio have the same limit by argument; tokio's default is 8 MiB.
MAX_FRAME_LENGTH = 1024 * 1024

#: Missing bytes from which an incomplete frame is received straight into a buffer of its own.
LARGE_FRAME_BYTES = 64 * 1024

# -- the loop --------------------------------------------------------------------------------------------------

#: Cancelled timers that may lie in the queue before it is swept, if they are also the larger half of it.
TIMER_SWEEP_MIN = 128

#: Seconds after which a step of a turn is broken off, and callbacks from one look at the clock to the next: what is
#: left of it comes first in that step of the next turn, and the other steps come in between.
TURN_SECONDS = 0.01
TURN_BATCH = 8

#: Seconds from which debug mode calls a callback slow, as asyncio's slow_callback_duration.
SLOW_CALLBACK_SECONDS = 0.1

#: The longest wait handed to a poller, in seconds: poll(2) and epoll_wait(2) count milliseconds in an int.
MAX_WAIT = 86_400.0
