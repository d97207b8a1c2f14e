"""What is asked only once: questions under way, answers that are remembered, names of the program's own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import Any

import pytest

from reactor.errors import AddressError, OptionError, ResolutionFailed, ResolutionTimeout
from reactor.net.names.cache import NameCache
from reactor.testing import VirtualClock
from tests.cli.running import PATIENCE as PROCESS_PATIENCE
from tests.cli.running import environment
from tests.net.caller import Caller
from tests.net.name_service import NameService, found, slow_service
from tests.net.stage import PATIENCE, Stage, stage_on

HOST = {
    ("getaddrinfo", "x"): found("192.0.2.7", "2001:db8::7"),
    ("gethostbyname_ex", "x"): ("x", ["alias"], ["192.0.2.7"]),
    ("gethostbyaddr", "192.0.2.7"): ("x", ["alias"], ["192.0.2.7"]),
    ("getnameinfo", ("192.0.2.7", 0)): ("x", "0"),
}


def ask(stage: Stage, function: str, *args: Any, **keywords: Any) -> Any:
    """Look up and wait for the result."""
    return stage.run_until(getattr(stage.resolver, function)(*args, **keywords), PATIENCE)


# -- questions under way ---------------------------------------------------------------------------------------


def test_the_same_question_is_asked_once_when_many_want_to_know(poller_name: str) -> None:
    """Whatever the port, and in upper or lower case; the family makes a difference."""
    with slow_service(HOST) as service, stage_on(poller_name, ops=service) as stage:
        lookups = [stage.resolver.lookup(name, port) for name in "xX" for port in (80, 443)]
        lookups += [stage.resolver.getaddrinfo("x", 22, 0, socket.SOCK_STREAM), stage.resolver.gethostbyname("x")]
        service.await_asked(2)
        service.release(9)
        stage.until(lambda: all(lookup.done() for lookup in lookups))
        assert [call[1:] for call in sorted(service.asked)] == [("x", 0, 0), ("x", 0, socket.AF_INET)]
        assert [lookup.result()[0][3] for lookup in lookups[:4]] == [("192.0.2.7", port) for port in (80, 443) * 2]
        assert lookups[4].result() == [
            (socket.AF_INET, 1, 6, "", ("192.0.2.7", 22)),
            (socket.AF_INET6, 1, 6, "", ("2001:db8::7", 22, 0, 0)),
        ]
        assert lookups[5].result() == "192.0.2.7"


def test_each_has_his_own_patience_and_the_others_go_on_waiting() -> None:
    """One gives up, one is cancelled, one is answered; a late comer joins the question that goes on."""
    clock = VirtualClock()
    with slow_service(HOST) as service, stage_on(clock=clock, ops=service) as stage:
        hasty = stage.resolver.lookup("x", 1, timeout=1.0)
        patient = stage.resolver.lookup("x", 2, timeout=None)
        fickle = stage.resolver.lookup("x", 3)
        fickle.cancel()
        service.await_asked()
        clock.advance(1.0)
        stage.settle()
        with pytest.raises(ResolutionTimeout):
            hasty.result()
        late = stage.resolver.lookup("x", 4, timeout=None)
        assert not patient.done()
        service.release()
        stage.until(late.done)
        assert patient.result()[0][3] == ("192.0.2.7", 2)
        assert len(service.asked) == 1


def test_nobody_is_disturbed_when_anothers_callback_raises() -> None:
    """Two callbacks for one answer are two calls."""
    answers: list[Any] = []
    with slow_service(HOST) as service, stage_on(ops=service) as stage:
        stage.resolver.gethostbyname("x", callback=lambda result: 1 // 0)
        stage.resolver.gethostbyname("x", callback=answers.append)
        service.release()
        stage.until(lambda: answers)
        assert [type(exc) for exc in stage.take_failures()] == [ZeroDivisionError]
    assert answers == ["192.0.2.7"]


def test_what_waits_for_a_thread_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many questions are a failure, not a growing queue; those that nobody wants any more make room."""
    monkeypatch.setattr("reactor.net.names.resolver.RESOLVER_QUEUE", 2)
    with slow_service() as service, stage_on(ops=service) as stage:
        stage.resolver.threads = 1
        running, one, two, refused = (stage.resolver.gethostbyname(name) for name in ("a", "b", "c", "d"))
        joined = stage.resolver.gethostbyname("c")
        stage.settle(1)
        with pytest.raises(ResolutionFailed, match="2 look-ups wait for a thread already") as caught:
            refused.result()
        assert caught.value.errno == socket.EAI_AGAIN
        one.cancel()
        allowed = stage.resolver.gethostbyname("d")
        service.release(9)
        stage.until(lambda: all(lookup.done() for lookup in (running, two, joined, allowed)))
        assert [call[1] for call in service.asked] == ["a", "c", "d"]
        again = stage.resolver.gethostbyname("b")  # it was dropped, and not only forgotten
        stage.until(again.done)


def test_a_question_that_nobody_wanted_in_the_end_can_be_asked_again() -> None:
    """Cancelled before a thread had time for it, it was never asked; the next one who wants to know is answered."""
    with slow_service(HOST) as service, stage_on(ops=service) as stage:
        stage.resolver.threads = 1
        running, unwanted = (stage.resolver.gethostbyname(name) for name in ("a", "x"))
        unwanted.cancel()
        service.release(9)
        stage.until(running.done)
        stage.settle()
        assert ask(stage, "gethostbyname", "x") == "192.0.2.7"
        assert [call[1] for call in service.asked] == ["a", "x"]



def test_more_threads_ask_when_more_are_allowed() -> None:
    """At least one; a question that waits is begun with the next one."""
    with slow_service() as service, stage_on(ops=service) as stage:
        assert stage.resolver.threads == 4
        with pytest.raises(OptionError, match="at least 1"):
            stage.resolver.threads = 0
        stage.resolver.threads = 6
        lookups = [stage.resolver.gethostbyname(name) for name in "abcdefgh"]
        service.await_asked(6)
        assert len(service.asked) == len(service.threads) == 6
        service.release(8)
        stage.until(lambda: all(lookup.done() for lookup in lookups))


# -- answers that are remembered -------------------------------------------------------------------------------


def test_an_answer_is_remembered_for_its_lifetime(poller_name: str) -> None:
    """And given as a list of one's own, from the loop."""
    clock = VirtualClock()
    with stage_on(poller_name, clock=clock, ops=(service := NameService(HOST))) as stage:
        ask(stage, "lookup", "x", 80).clear()
        answers: list[Any] = []
        stage.resolver.lookup("X", 81, callback=answers.append)
        assert not answers
        stage.settle(1)
        assert [target[3][1] for target in answers[0]] == [81, 81]
        assert ask(stage, "gethostbyname_ex", "x")[1].pop() == "alias"
        assert ask(stage, "gethostbyname_ex", "x") == ("x", ["alias"], ["192.0.2.7"])
        assert len(service.asked) == 2
        clock.advance(60)
        ask(stage, "lookup", "x", 80)
        assert len(service.asked) == 3


@pytest.mark.parametrize(
    ("function", "raised", "is_kept"),
    [
        ("gethostbyname", socket.gaierror(socket.EAI_NONAME, "none"), True),
        ("gethostbyname", socket.gaierror(socket.EAI_AGAIN, "later"), False),
        ("gethostbyname", socket.gaierror(socket.EAI_FAIL, "broken"), False),
        ("gethostbyaddr", socket.herror(1, "none"), True),
        ("gethostbyaddr", socket.herror(4, "no data"), True),
        ("gethostbyaddr", socket.herror(2, "later"), False),
        ("gethostbyname", UnicodeError("label"), False),
        ("getprotobyname", OSError("protocol not found"), True),
        ("getprotobyname", OSError(24, "no descriptor"), False),
    ],
)
def test_that_there_is_no_answer_is_remembered_when_it_is_certain(
    function: str, raised: Exception, is_kept: bool
) -> None:
    """For a shorter time.  What may be otherwise in a moment is asked again."""
    clock = VirtualClock()
    key = "getaddrinfo" if function == "gethostbyname" else function
    with stage_on(clock=clock, ops=(service := NameService({(key, "x"): raised}))) as stage:
        for count in (1, 1 if is_kept else 2):
            with pytest.raises(OSError, match="x"):
                ask(stage, function, "x")
            assert len(service.asked) == count
        clock.advance(10)
        with pytest.raises(OSError, match="x"):
            ask(stage, function, "x")
        assert len(service.asked) == count + 1


def test_the_name_of_a_peer_is_asked_once_whatever_its_port() -> None:
    """Every connection of a client has another port."""
    with stage_on(ops=(service := NameService(HOST))) as stage:
        for port in (1025, 2049):
            assert ask(stage, "getnameinfo", ("192.0.2.7", port), socket.NI_NUMERICSERV) == ("x", str(port))
    assert len(service.asked) == 1


def test_nothing_is_remembered_when_the_cache_says_so() -> None:
    """Another cache may be put in its place; and a single name may be forgotten."""
    with stage_on(ops=(service := NameService(HOST))) as stage:
        ask(stage, "gethostbyname", "x")
        ask(stage, "gethostbyaddr", "192.0.2.7")
        stage.resolver.forget("X")
        ask(stage, "gethostbyaddr", "192.0.2.7")
        assert len(service.asked) == 2
        ask(stage, "gethostbyname", "x")
        assert len(service.asked) == 3
        stage.resolver.cache = NameCache(lifetime=0)
        ask(stage, "gethostbyname", "x")
        ask(stage, "gethostbyname", "x")
        assert len(service.asked) == 5


def test_addresses_are_forgotten_when_none_of_them_could_be_connected_to(poller_name: str) -> None:
    """The service may have moved; a connection that was made is a reason to believe them."""
    service = NameService({("getaddrinfo", "x"): found("127.0.0.1")})
    with stage_on(poller_name, ops=service) as stage, socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        callers: list[Caller] = []
        listener = stage.listen_tcp(Caller, "127.0.0.1")
        for port, count in [(listener.address[1], 1), (nobody.getsockname()[1], 1), (listener.address[1], 2)]:
            callers.append(Caller())
            connector = stage.connect_tcp(lambda: callers[-1], "x", port)
            stage.until(lambda: callers[-1].words)
            assert len(service.asked) == count
            assert connector.state == ("connected" if port == listener.address[1] else "failed")


def test_a_name_without_addresses_is_not_asked_again_by_the_next_connection() -> None:
    """That nobody can be connected to is no news here."""
    with stage_on(ops=(service := NameService())) as stage:
        for _ in range(2):
            connector = stage.connect_tcp(Caller, "x", 80)
            stage.until(connector.is_done)
        assert len(service.asked) == 1


# -- names of the program's own --------------------------------------------------------------------------------


def test_a_connection_is_made_to_the_address_that_the_program_gives_a_name(poller_name: str) -> None:
    """Every address in turn, in that order; no thread is started, and nobody is asked."""
    with stage_on(poller_name, ops=(service := NameService())) as stage:
        listener = stage.listen_tcp(Caller, "127.0.0.1")
        stage.resolver.hosts["db.example"] = ["127.0.0.9", "127.0.0.1"]
        caller = Caller()
        connector = stage.connect_tcp(lambda: caller, "DB.example", listener.address[1])
        stage.until(lambda: caller.words)
        assert connector.state == "connected"
        assert [address for address, _ in connector.attempts] == [("127.0.0.9", listener.address[1])]
        assert service.asked == service.threads == []


def test_every_function_looks_into_the_table_of_the_program_first() -> None:
    """In both directions, with the first name as the proper one."""
    with stage_on(ops=(service := NameService())) as stage:
        hosts = stage.resolver.hosts
        hosts["db.example"] = ["10.0.0.7", "fd00::7"]
        hosts["db"] = "10.0.0.7"
        hosts["six"] = "fd00::7"
        names = ("db.example", ["db"], ["10.0.0.7"])
        assert ask(stage, "gethostbyname", "db.example.") == "10.0.0.7"
        assert ask(stage, "gethostbyname_ex", "DB.example") == ("db.example", [], ["10.0.0.7"])
        assert ask(stage, "gethostbyaddr", "10.0.0.7") == ask(stage, "gethostbyaddr", "db") == names
        assert ask(stage, "gethostbyaddr", "FD00:0::7") == ("db.example", ["six"], ["FD00:0::7"])
        assert ask(stage, "gethostbyaddr", "db.example") == names
        assert ask(stage, "getfqdn", "db") == "db.example"
        hosts["none"] = []
        assert ask(stage, "getfqdn", "none") == "none"
        assert ask(stage, "getnameinfo", ("10.0.0.7", 80), socket.NI_NUMERICSERV) == ("db.example", "80")
        strict = socket.NI_NAMEREQD | socket.NI_NUMERICSERV
        assert ask(stage, "getnameinfo", ("10.0.0.7", 80), strict) == ("db.example", "80")
        both_numeric = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
        assert ask(stage, "getnameinfo", ("10.0.0.7", 80), both_numeric) == ("10.0.0.7", "80")
        both = ask(stage, "getaddrinfo", "db.example", 80, 0, socket.SOCK_DGRAM, 0, socket.AI_CANONNAME)
        assert both == [
            (socket.AF_INET, 2, 17, "db.example", ("10.0.0.7", 80)),
            (socket.AF_INET6, 2, 17, "db.example", ("fd00::7", 80, 0, 0)),
        ]
        assert ask(stage, "lookup", "db.example", 80, family=socket.AF_INET6)[0][3] == ("fd00::7", 80, 0, 0)
        assert ask(stage, "getaddrinfo", "db", "http", 0, socket.SOCK_STREAM)[0][4] == ("10.0.0.7", 80)
    assert service.asked == []


@pytest.mark.parametrize("function", ["gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getaddrinfo"])
def test_a_name_without_an_address_in_the_table_has_none(function: str) -> None:
    """The system is not asked; nor for a family that the table has no address of."""
    with stage_on(ops=(service := NameService())) as stage:
        stage.resolver.hosts["none"] = []
        stage.resolver.hosts["six"] = "::1"
        more = (80, socket.AF_INET) if function == "getaddrinfo" else ()
        for name in ["none"] if function == "gethostbyaddr" else ["none", "six"]:
            with pytest.raises(socket.gaierror, match=name):
                ask(stage, function, name, *more)
        with pytest.raises(AddressError, match="numeric"):
            stage.resolver.hosts["x"] = "y"
    assert service.asked == []


# -- the end, and a fork ---------------------------------------------------------------------------------------


def test_everybody_is_cancelled_when_the_reactor_is_closed_and_nobody_is_waited_for(poller_name: str) -> None:
    """In a thread, waiting for one, or answered in the same moment; close() returns while the thread hangs."""
    answers: list[Any] = []
    with slow_service(HOST) as service:
        stage = Stage(poller_name, ops=service)
        stage.resolver.threads = 1
        lookups = [stage.resolver.gethostbyname(name, callback=answers.append) for name in ("x", "y", "127.0.0.1")]
        service.await_asked()
        stage.close()
        assert [lookup.done() for lookup in lookups[:2]] == [True, True]
        assert service.threads[0].is_alive()
        assert stage.failures == []
    assert answers in ([], ["127.0.0.1"])


HANGING = """
import threading, reactor
from reactor.ops import Ops

class Hanging(Ops):
    def getaddrinfo(self, *question):
        asked.set()
        threading.Event().wait()

asked = threading.Event()
loop = reactor.Reactor(ops=Hanging())
loop.resolver.gethostbyname("x", timeout=None)
asked.wait()
if {is_closed}:
    loop.close()
else:
    import warnings
    warnings.simplefilter("ignore", ResourceWarning)
print("done")
"""


@pytest.mark.slow
@pytest.mark.parametrize("is_closed", [True, False])
def test_the_program_ends_when_a_lookup_never_does(is_closed: bool) -> None:
    """Neither close() nor the interpreter waits for its thread."""
    done = subprocess.run(
        [sys.executable, "-c", HANGING.format(is_closed=is_closed)],
        env=environment(), capture_output=True, text=True, timeout=PROCESS_PATIENCE,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_asks_anew_what_its_parent_was_asking(poller_name: str) -> None:
    """The threads stay with the parent; the questions, old and new, are answered in both."""
    with slow_service(HOST) as service, stage_on(poller_name, ops=service) as stage:
        old = stage.resolver.gethostbyname("x")
        service.await_asked()
        child = os.fork()
        if child == 0:
            try:
                service.is_slow = False
                stage.reopen()
                stage.until(old.done)
                new = stage.resolver.gethostbyname("x")
                stage.until(new.done)
                os._exit(0 if old.result() == new.result() == "192.0.2.7" else 2)
            finally:
                os._exit(1)
        service.release()
        assert stage.run_until(old, PATIENCE) == "192.0.2.7"
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
