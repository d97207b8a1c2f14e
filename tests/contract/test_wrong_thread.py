"""A call from a thread that is not the loop's is refused before anything has changed.

Check, then change: a method that changes and then raises leaves a state that nobody intended, an end that nobody is
told, a descriptor that nobody closes.  So every public method of every object that a reactor gives away is called
from another thread, while the loop sleeps in its poller and while it is inside a callback of that very object.  It
must raise WrongThread, and a picture of everything that the object and the loop own, down to what epoll knows, must
be the same before and after; then the loop goes on, and the object must still do what it is for.

Which methods there are is asked of the classes.  ``READERS`` names those that change nothing, ``PARTS`` those that
only the reactor's own parts call; a new method is in neither, and so it is tested.  If it wants arguments,
``ARGUMENTS`` says which, or the test of it fails and says so.

``Handle.cancel`` is not among them: a handle knows no loop, and whoever got one from ``call_soon_threadsafe`` may
cancel it in any thread, by setting one slot.  Nor is ``Timer.postpone`` to a later instant: see ``ARGUMENTS``.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MethodType
from typing import Any

import pytest

import reactor
from reactor.errors import MessageTooLong, WrongThread
from tests.leaks import DESCRIPTORS

PATIENCE = 10.0

#: They tell what is, and change nothing.
READERS = {
    "fileno", "get_protocol", "is_closing", "can_write_eof", "get_extra_info", "get_write_buffer_limits",
    "is_reading", "is_accepting", "is_done", "done", "result", "is_cancelled", "is_running", "is_closed", "time",
}  # fmt: skip

#: ... except of these, which are asked by the loop's own thread, because a host acts on the answer.
ASKED_BY_HOSTS = {"Reactor.fileno", "Reactor.next_timeout"}

#: What only the parts of the reactor call of each other, in a callback, and no program.
PARTS = {
    # an idle timeout is pushed back by whatever moves
    "note_progress",
    # a look-up is answered by its resolver, which is closed, and brought through a fork, by its reactor
    "wait_for", "answer", "Resolver.close", "Resolver.resume", "forget_threads",
    # a fork is noticed by the loop, which tells all the others
    "forget_path",
}  # fmt: skip

#: What any thread may call.
THREADSAFE = {"Reactor.call_soon_threadsafe"}


class Echo(reactor.Protocol):
    """Sends bytes back, and parks the loop when it is told to."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.ends: list[BaseException | None] = []

    def data_received(self, data: bytes) -> None:
        self.scene.park()
        self.transport.write(data)

    def datagram_received(self, data: bytes, address: Any) -> None:
        self.scene.park()
        self.transport.sendto(data, address)

    def message_received(self, data: bytes) -> None:
        self.scene.park()
        self.transport.send_message(data)

    def error_received(self, exc: OSError) -> None: ...

    def connection_failed(self, exc: Exception) -> None:
        self.scene.park()
        self.ends.append(exc)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.ends.append(exc)


class Framed(reactor.FramedProtocol):
    """Sends frames back."""

    codec = reactor.LengthPrefixed(1)

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.ends: list[BaseException | None] = []

    def frame_received(self, frame: bytes) -> None:
        self.scene.park()
        self.send_frame(frame)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.ends.append(exc)


class Scene:
    """A loop, one object of each kind, and a way to park the loop inside a callback."""

    def __init__(self) -> None:
        self.loop = reactor.Reactor()
        self.failures: list[BaseException] = []
        self.loop.set_exception_handler(lambda exc, source: self.failures.append(exc))
        self.opened: list[Any] = []
        self.parked, self.go, self.is_armed = threading.Event(), threading.Event(), False
        self.notes: list[object] = []

    def keep(self, thing: Any) -> Any:
        """Have *thing* closed at the end."""
        self.opened.append(thing)
        return thing

    def pair(self, kind: int = socket.SOCK_STREAM) -> tuple[socket.socket, socket.socket]:
        """Return two connected sockets."""
        near, far = socket.socketpair(socket.AF_UNIX, kind)
        self.keep(near)
        self.keep(far).settimeout(PATIENCE)
        return near, far

    def listening(self) -> socket.socket:
        """Return a listening socket."""
        sock: socket.socket = self.keep(socket.create_server(("127.0.0.1", 0)))
        sock.setblocking(False)
        return sock

    def park(self) -> None:
        """Stop here, in the loop's thread, until the other thread has done its deed, if this is the time for it."""
        if self.is_armed:
            self.is_armed = False
            self.parked.set()
            assert self.go.wait(PATIENCE)

    def answer_of(self, sock: socket.socket, size: int) -> bytes:
        """Turn until so many bytes have come at *sock*; return them."""
        answer = bytearray()

        def is_there() -> bool:
            answer.extend(received(sock))
            return len(answer) >= size

        self.loop.run_until(is_there, PATIENCE)
        return bytes(answer)

    def close(self) -> None:
        """Give everything back."""
        self.loop.close()
        for thing in self.opened:
            thing.close()


class Subject:
    """An object under test: how it is made, made to call back, and shown to work and to end."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.loop = scene, scene.loop
        self.object: Any = self.make()

    def make(self) -> Any:
        """Return the object."""
        raise NotImplementedError

    def trigger(self) -> None:
        """Have it call back soon."""
        self.loop.call_soon(self.scene.park)

    def prove(self) -> None:
        """Fail unless it works."""


class TheLoop(Subject):
    """The reactor."""

    def make(self) -> Any:
        self.watched, self.far = self.scene.pair()
        self.loop.add_reader(self.watched, self.scene.notes.append, "read")
        return self.loop

    def prove(self) -> None:
        self.far.send(b"x")
        self.loop.call_soon(self.scene.notes.append, "soon")
        self.loop.run_until(lambda: {"read", "soon"} <= set(self.scene.notes), PATIENCE)


class TheTimer(Subject):
    """A timer of a minute."""

    def make(self) -> Any:
        return self.loop.call_later(60, self.fire)

    def fire(self) -> None:
        self.scene.park()
        self.scene.notes.append("fired")

    def trigger(self) -> None:
        self.object.reschedule(self.loop.time())

    def prove(self) -> None:
        self.scene.notes.clear()
        self.object.reschedule(self.loop.time())
        self.loop.run_until(lambda: self.scene.notes, PATIENCE)
        assert self.scene.notes == ["fired"]


class TheListener(Subject):
    """A listener."""

    def make(self) -> Any:
        return self.loop.listen_tcp(self.factory, "127.0.0.1", 0)

    def factory(self) -> Echo:
        self.scene.park()
        return Echo(self.scene)

    def address(self) -> Any:
        return self.object.address

    def trigger(self) -> None:
        self.scene.keep(socket.create_connection(self.address()))

    def prove(self) -> None:
        client = self.scene.keep(socket.create_connection(self.address()))
        client.sendall(b"hello")
        client.setblocking(False)
        assert self.scene.answer_of(client, 5) == b"hello"
        self.object.close()


class TheAcceptor(TheListener):
    """An acceptor."""

    def make(self) -> Any:
        self.sock = self.scene.listening()
        return self.loop.add_acceptor(self.sock, self.accepted)

    def address(self) -> Any:
        return self.sock.getsockname()

    def accepted(self, sock: socket.socket, address: Any) -> None:
        self.scene.park()
        self.loop.adopt_stream(lambda: Echo(self.scene), sock)


class TheConnector(Subject):
    """A connection in the making, to a peer whose queue is full: it stays in the making."""

    def make(self) -> Any:
        self.queue = self.scene.keep(socket.socket())
        self.queue.bind(("127.0.0.1", 0))
        self.queue.listen(0)
        self.clients = []
        for _ in range(3):
            client = self.scene.keep(socket.socket())
            client.setblocking(False)
            client.connect_ex(self.queue.getsockname())
            self.clients.append(client)
        self.protocol = Echo(self.scene)
        return self.loop.connect_tcp(lambda: self.protocol, *self.queue.getsockname())

    def prove(self) -> None:
        assert not self.object.is_done()
        self.object.cancel()
        self.loop.run_until(lambda: self.protocol.ends, PATIENCE)
        assert self.object.state == "cancelled"
        assert [type(exc).__name__ for exc in self.protocol.ends] == ["ConnectCancelled"]


class TheStream(Subject):
    """A stream."""

    protocol: Any

    def make(self) -> Any:
        near, self.far = self.scene.pair()
        self.protocol = Echo(self.scene)
        return self.loop.adopt_stream(lambda: self.protocol, near)

    def trigger(self) -> None:
        self.far.send(self.wire(b"first"))

    def wire(self, data: bytes) -> bytes:
        return data

    def prove(self) -> None:
        self.far.setblocking(False)
        self.loop.run_once(0)
        received(self.far)  # the answer to what made it call back
        self.far.send(self.wire(b"ping"))
        assert self.scene.answer_of(self.far, len(self.wire(b"ping"))) == self.wire(b"ping")
        self.protocol.transport.close()
        self.loop.run_until(lambda: self.protocol.ends, PATIENCE)
        self.loop.run_once(0)
        assert self.protocol.ends == [None]


class TheFileSending(Subject):
    """A file that is being sent, to a peer that does not read: it stays so."""

    def make(self) -> Any:
        near, _ = self.scene.pair()
        self.ends: list[Any] = []
        file = self.scene.keep(tempfile.TemporaryFile())  # noqa: SIM115  # it lives as long as the scene
        file.truncate(2**24)
        return self.loop.adopt_stream(lambda: Echo(self.scene), near).send_file(file, on_done=self.ends.append)

    def prove(self) -> None:
        assert not self.object.done()
        self.object.cancel()
        self.loop.run_until(lambda: self.ends, PATIENCE)
        assert self.ends == [self.object]


class TheFramedProtocol(TheStream):
    """A protocol that sends frames."""

    def make(self) -> Any:
        near, self.far = self.scene.pair()
        self.protocol = Framed(self.scene)
        self.loop.adopt_stream(lambda: self.protocol, near)
        return self.protocol

    def wire(self, data: bytes) -> bytes:
        return bytes([len(data)]) + data


class TheMessageStream(TheStream):
    """A stream of messages."""

    def make(self) -> Any:
        near, self.far = self.scene.pair(socket.SOCK_SEQPACKET)
        self.protocol = Echo(self.scene)
        return self.loop.adopt_seqpacket(lambda: self.protocol, near)


class TheEndpoint(TheStream):
    """A datagram endpoint."""

    def make(self) -> Any:
        self.protocol = Echo(self.scene)
        endpoint = self.loop.open_datagram(lambda: self.protocol, ("127.0.0.1", 0))
        self.far = self.scene.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.far.connect(endpoint.get_extra_info("sockname"))
        return endpoint


class TheDeadline(Subject):
    """A deadline that runs."""

    def make(self) -> Any:
        deadline = reactor.Deadline(self.loop, self.missed)
        deadline.start(60)
        return deadline

    def missed(self, exc: Exception) -> None:
        self.scene.park()
        self.scene.notes.append(exc)

    def trigger(self) -> None:
        self.object.start(1e-6)

    def prove(self) -> None:
        self.object.start(1e-6)
        self.loop.run_until(lambda: self.scene.notes, PATIENCE)
        assert not self.object.is_running()


class TheResolver(Subject):
    """What looks names up."""

    def make(self) -> Any:
        return self.loop.resolver

    def prove(self) -> None:
        self.object.lookup("127.0.0.1", 80, callback=self.scene.notes.append)
        self.loop.run_until(lambda: self.scene.notes, PATIENCE)


class TheLookup(Subject):
    """A look-up that waits for its answer: a number needs no thread, and is answered in the next turn."""

    def make(self) -> Any:
        # Not the notes, which the stranger clears: the callback that it disturbs is the only one.
        self.answers: list[Any] = []
        return self.loop.resolver.lookup("127.0.0.1", 80, callback=self.answered)

    def answered(self, answer: Any) -> None:
        self.scene.park()
        self.answers.append(answer)

    def trigger(self) -> None: ...

    def prove(self) -> None:
        self.loop.run_until(lambda: self.answers, PATIENCE)
        assert len(self.answers) == 1


SUBJECTS: dict[str, type[Subject]] = {
    "Reactor": TheLoop, "Timer": TheTimer, "Listener": TheListener, "Acceptor": TheAcceptor,
    "Connector": TheConnector, "Stream": TheStream, "FileSending": TheFileSending,
    "FramedProtocol": TheFramedProtocol,
    "MessageStream": TheMessageStream, "DatagramEndpoint": TheEndpoint, "Deadline": TheDeadline,
    "Resolver": TheResolver, "Lookup": TheLookup,
}  # fmt: skip


def nothing(*args: object) -> None:
    pytest.fail("called, though it was refused")


#: What the methods that want arguments are called with: a function of the subject.
ARGUMENTS: dict[str, Callable[[Any], tuple[Any, ...]]] = {
    "add_acceptor": lambda it: (it.scene.listening(), nothing),
    "add_reader": lambda it: (it.scene.pair()[0], nothing),
    "add_writer": lambda it: (it.scene.pair()[0], nothing),
    "remove_reader": lambda it: (it.watched,),
    "remove_writer": lambda it: (it.watched,),
    "call_soon": lambda it: (nothing,),
    "call_later": lambda it: (60, nothing),
    "call_at": lambda it: (it.loop.time() + 60, nothing),
    "call_every": lambda it: (60, nothing),
    "call_at_turn_end": lambda it: (nothing,),
    "call_inside": lambda it: (nothing,),
    "add_signal_handler": lambda it: (signal.SIGUSR1, nothing),
    "remove_signal_handler": lambda it: (signal.SIGUSR1,),
    "run_until": lambda it: (lambda: True,),
    "set_probe": lambda it: (object(),),
    "set_exception_handler": lambda it: (nothing,),
    "listen_tcp": lambda it: (nothing, "127.0.0.1", 0),
    "listen_unix": lambda it: (nothing, f"@wrong-thread-{os.getpid()}"),
    "adopt_listener": lambda it: (nothing, it.scene.listening()),
    "connect_tcp": lambda it: (nothing, "127.0.0.1", 9),
    "connect_unix": lambda it: (nothing, f"@wrong-thread-{os.getpid()}"),
    "adopt_stream": lambda it: (nothing, it.scene.pair()[0]),
    "adopt_seqpacket": lambda it: (nothing, it.scene.pair(socket.SOCK_SEQPACKET)[0]),
    "open_datagram": lambda it: (nothing, ("127.0.0.1", 0)),
    "adopt_datagram": lambda it: (nothing, it.scene.pair(socket.SOCK_DGRAM)[0]),
    "reschedule": lambda it: (it.loop.time() + 5,),
    # Only an earlier instant is refused.  A later one is a single store, which does no harm from any thread, on the
    # way of every message past an idle timeout: 70 ns, and 225 with the check.
    "postpone": lambda it: (it.loop.time() + 5,),
    "write": lambda it: (b"stray",),
    "writelines": lambda it: ([b"stray", b"stray"],),
    "send_file": lambda it: (it.scene.pair()[0].fileno(),),
    "send_frame": lambda it: (b"stray",),
    "send_frames": lambda it: ([b"stray", b"stray"],),
    "send_message": lambda it: (b"stray",),
    "sendto": lambda it: (b"stray", it.far.getsockname()),
    "set_idle_timeout": lambda it: (60.0,),
    "set_protocol": lambda it: (Echo(it.scene),),
    "take_in": lambda it: (b"stray",),
    "set_extra_info": lambda it: ("name", "value"),
    "set_write_buffer_limits": lambda it: (5000, 1000),
    "fail": lambda it: (MessageTooLong("on purpose"),),
    "join_group": lambda it: ("224.0.0.251",),
    "leave_group": lambda it: ("224.0.0.251",),
    "Deadline.start": lambda it: (5.0,),
    "lookup": lambda it: ("127.0.0.1", 80),
    "getaddrinfo": lambda it: ("127.0.0.1", 80),
    "gethostbyname": lambda it: ("127.0.0.1",),
    "gethostbyname_ex": lambda it: ("127.0.0.1",),
    "gethostbyaddr": lambda it: ("127.0.0.1",),
    "getfqdn": lambda it: ("127.0.0.1",),
    "getnameinfo": lambda it: (("127.0.0.1", 80), 0),
    "getservbyname": lambda it: ("http",),
    "getservbyport": lambda it: (80,),
    "getprotobyname": lambda it: ("tcp",),
    "forget": lambda it: ("localhost",),
}


#: What is done first, in the loop's thread, so that a method has something to do.
OPPOSITES = {"resume": "pause", "resume_reading": "pause_reading"}


def mutators(name: str, kind: type) -> list[str]:
    """Return the public methods of *kind* that change something, or of a protocol, those that send."""
    found = []
    for method in dir(kind):
        full = f"{name}.{method}"
        if method.startswith("_") or not callable(getattr(kind, method)):
            continue
        if name == "FramedProtocol" and not method.startswith("send"):
            continue
        if full in ASKED_BY_HOSTS or not ({method, full} & (READERS | PARTS | THREADSAFE)):
            found.append(method)
    return found


def kinds() -> dict[str, type]:
    """Return the class of each kind of object."""
    scene = Scene()
    try:
        return {name: type(subject(scene).object) for name, subject in SUBJECTS.items()}
    finally:
        scene.close()


def all_cases() -> list[tuple[str, str]]:
    """Return each kind of object with each of its mutators."""
    return [(name, method) for name, kind in kinds().items() for method in mutators(name, kind)]


# -- a picture of everything ---------------------------------------------------------------------------------------

PLAIN = (int, float, str, bytes, bool, type(None), complex)


def picture(*roots: Any) -> dict[str, object]:
    """Return all that *roots* own, by the path that leads there: the package's own objects and containers are gone
    through, everything else is itself or not."""
    seen: dict[int, str] = {}
    found: dict[str, object] = {}
    waiting: deque[tuple[str, Any]] = deque((str(number), root) for number, root in enumerate(roots))
    while waiting:
        path, thing = waiting.popleft()
        if isinstance(thing, PLAIN):
            found[path] = thing
        elif isinstance(thing, MethodType):
            found[path] = (id(thing.__self__), thing.__name__)
        elif id(thing) in seen:
            found[path] = f"see {seen[id(thing)]}"
        else:
            seen[id(thing)] = path
            found[path] = id(thing)
            waiting.extend((f"{path}.{name}", part) for name, part in parts_of(thing))
    return found


def parts_of(thing: Any) -> Iterator[tuple[str, Any]]:
    """Yield what *thing* consists of."""
    if isinstance(thing, dict):
        yield from ((f"[{key!r:.60}]", value) for key, value in list(thing.items()))
        return
    if isinstance(thing, list | tuple | deque):
        yield "#", len(thing)
        yield from ((f"[{number}]", value) for number, value in enumerate(list(thing)))
        return
    if isinstance(thing, set | frozenset):
        yield "#", repr(sorted(map(id, thing)))
        yield from ((f"<{id(value)}>", value) for value in list(thing))
        return
    if not type(thing).__module__.startswith(("reactor.", "tests.")) or isinstance(thing, type | Scene | Subject):
        return
    for kind in type(thing).__mro__:
        names = vars(kind).get("__slots__", ())
        for name in (names,) if isinstance(names, str) else names:
            if name.startswith("__") and not name.endswith("__"):
                name = f"_{kind.__name__}{name}"
            if hasattr(thing, name) and name != "__weakref__":
                yield name, getattr(thing, name)
    yield from getattr(thing, "__dict__", {}).items()


def kernel() -> dict[str, str]:
    """Return what is open, and what each epoll set watches for."""
    found = {}
    for fd in os.listdir(DESCRIPTORS):
        try:
            target = os.readlink(DESCRIPTORS / fd)
            watched = Path(f"/proc/self/fdinfo/{fd}").read_text(encoding="ascii") if "eventpoll" in target else ""
        except OSError:  # the one that lists, or reads
            continue
        if not target.startswith(("/proc/", "/dev/fd")):
            found[fd] = target + watched
    return found


def received(sock: socket.socket) -> bytes:
    """Return what has come by now."""
    try:
        return sock.recv(65536)
    except BlockingIOError:
        return b""


# -- the other thread ----------------------------------------------------------------------------------------------


class Stranger(threading.Thread):
    """Waits until the loop stands still, calls a method, and looks what that has changed."""

    def __init__(self, subject: Subject, call: Callable[[], object], *, in_callback: bool) -> None:
        super().__init__(name="stranger", daemon=True)
        self.subject, self.call, self.in_callback = subject, call, in_callback
        self.loop_thread = threading.get_ident()
        self.raised: BaseException | None = None
        self.changes: list[str] = []
        self.is_done = False

    def run(self) -> None:
        """Do it."""
        scene = self.subject.scene
        try:
            if self.in_callback:
                assert scene.parked.wait(PATIENCE), "the callback did not come"
            else:
                self.wait_for_sleep()
            before, known = picture(self.subject.object, scene.loop), kernel()
            try:
                self.call()
            except BaseException as exc:
                self.raised = exc
            after, knows = picture(self.subject.object, scene.loop), kernel()
            self.changes = sorted(
                f"{path}: {before.get(path)!r:.60} became {after.get(path)!r:.60}"
                for path in before.keys() | after.keys()
                if before.get(path) != after.get(path)
            ) + [f"descriptor {fd}" for fd in known.keys() | knows.keys() if known.get(fd) != knows.get(fd)]
        except BaseException as exc:
            self.raised = exc
        finally:
            self.is_done = True
            scene.go.set()
            scene.loop.call_soon_threadsafe(scene.notes.clear)

    def wait_for_sleep(self) -> None:
        """Wait until the loop's thread is where it sleeps, and stays there: in ``select()`` of its poller."""
        place, looks = None, 0
        pause = threading.Event()
        while looks < 3:
            frame = sys._current_frames()[self.loop_thread]
            here = (frame.f_code.co_name, frame.f_code.co_filename, frame.f_lasti)
            looks = looks + 1 if here == place and here[0] == "select" else 0
            place = here
            pause.wait(0.001)


@pytest.mark.parametrize("in_callback", [False, True], ids=["asleep", "in callback"])
@pytest.mark.parametrize(("name", "method"), [pytest.param(*case, id=".".join(case)) for case in all_cases()])
def test_a_call_is_refused_and_changes_nothing_when_another_thread_makes_it(
    name: str, method: str, in_callback: bool
) -> None:
    """WrongThread, the picture stays as it was, and the object does afterwards what it is for."""
    scene = Scene()
    try:
        subject = SUBJECTS[name](scene)
        if name != "Lookup":
            scene.loop.run_once(0)
        opposite = OPPOSITES.get(method)
        if opposite and not in_callback:  # else it has nothing to do, and what it does then shows less
            getattr(subject.object, opposite)()
        give = ARGUMENTS.get(f"{name}.{method}", ARGUMENTS.get(method, lambda it: ()))
        arguments = give(subject)
        call = getattr(subject.object, method)
        stranger = Stranger(subject, lambda: call(*arguments), in_callback=in_callback)
        if in_callback:
            scene.is_armed = True
            subject.trigger()
        elif name == "Lookup":
            pytest.skip("an answer that waits keeps the loop awake")
        stranger.start()
        scene.loop.run_until(lambda: stranger.is_done, PATIENCE)
        stranger.join(PATIENCE)
        if isinstance(stranger.raised, TypeError) and "argument" in str(stranger.raised):
            pytest.fail(f"say in ARGUMENTS of {__file__} how {name}.{method} is called: {stranger.raised}")
        assert isinstance(stranger.raised, WrongThread), f"it raised {stranger.raised!r}"
        assert stranger.changes == []
        if opposite and not in_callback:
            call(*arguments)
        scene.loop.run_once(0)
        subject.prove()
        assert scene.failures == []
    finally:
        scene.go.set()
        scene.close()


def test_a_list_of_methods_names_none_that_is_gone() -> None:
    """A name that stays when its method goes would one day excuse another method that is given it."""
    there = {method for kind in kinds().values() for method in dir(kind)}
    there |= {f"{name}.{method}" for name, kind in kinds().items() for method in dir(kind)}
    assert sorted((READERS | ASKED_BY_HOSTS | PARTS | THREADSAFE | ARGUMENTS.keys()) - there) == []


def test_the_number_of_threads_is_refused_when_another_thread_sets_it() -> None:
    """The one attribute of a resolver that can be set is checked as methods are."""
    scene = Scene()
    try:
        subject = TheResolver(scene)
        before = subject.object.threads
        stranger = Stranger(subject, lambda: setattr(subject.object, "threads", before + 1), in_callback=False)
        stranger.start()
        scene.loop.run_until(lambda: stranger.is_done, PATIENCE)
        stranger.join(PATIENCE)
        assert isinstance(stranger.raised, WrongThread)
        assert subject.object.threads == before
    finally:
        scene.close()


def test_a_change_is_seen_when_the_picture_is_taken_again() -> None:
    """The test above can fail: a timer that is moved or cancelled, a reader more or less, are differences."""
    scene = Scene()
    try:
        timer, stream = TheTimer(scene).object, TheStream(scene).object
        near, _ = scene.pair()
        deeds: list[Callable[[], object]] = [
            lambda: timer.reschedule(scene.loop.time() + 99),
            lambda: scene.loop.add_reader(near, nothing),
            stream.pause_reading,
            timer.cancel,
        ]
        for deed in deeds:
            before, known = picture(timer, stream, scene.loop), kernel()
            deed()
            assert (before, known) != (picture(timer, stream, scene.loop), kernel())
    finally:
        scene.close()
