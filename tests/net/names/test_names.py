"""All functions of the socket module about names: the same results and errors, without waiting for them."""

from __future__ import annotations

import copy
import errno
import pickle
import socket
from socket import gaierror, herror
from typing import Any

import pytest

from reactor.errors import (
    AddressError,
    ConnectionFailure,
    HostTimeout,
    HostUnknown,
    LookupCancelled,
    LookupFailed,
    LookupTimeout,
    OptionError,
    ResolutionFailed,
    ResolutionTimeout,
    ServiceUnknown,
    SystemLimit,
    UsageError,
)
from reactor.testing import ScriptedPoller, VirtualClock
from tests.net.name_service import NameService, found, slow_service
from tests.net.stage import PATIENCE, Stage, stage_on

#: Questions whose answers depend on no network, as the textbook asks them.
QUESTIONS: list[tuple[Any, ...]] = [
    ("gethostbyname", "localhost"),
    ("gethostbyname", "127.0.0.1"),
    ("gethostbyname", ""),
    ("gethostbyname", "<broadcast>"),
    ("gethostbyname", "::1"),
    ("gethostbyname_ex", "localhost"),
    ("gethostbyname_ex", "127.0.0.1"),
    ("gethostbyname_ex", "::1"),
    ("gethostbyaddr", "127.0.0.1"),
    ("gethostbyaddr", "localhost"),
    ("getfqdn", "127.0.0.1"),
    ("getaddrinfo", "localhost", 80, 0, socket.SOCK_STREAM),
    ("getaddrinfo", "localhost", "http", socket.AF_INET),
    ("getaddrinfo", "localhost", "no-such-service"),
    ("getaddrinfo", "127.0.0.1", 80),
    ("getaddrinfo", "::1", "https"),
    ("getaddrinfo", "127.0.0.1", None, 0, socket.SOCK_DGRAM, 0, socket.AI_CANONNAME),
    ("getaddrinfo", None, 80, socket.AF_INET, 0, 0, socket.AI_PASSIVE),
    ("getaddrinfo", None, None),
    ("getnameinfo", ("127.0.0.1", 80), 0),
    ("getnameinfo", ("127.0.0.1", 65_000), socket.NI_NUMERICSERV),
    ("getnameinfo", ("::1", 443, 0, 0), socket.NI_NUMERICHOST),
    ("getnameinfo", ("127.0.0.1", 53), socket.NI_DGRAM | socket.NI_NUMERICHOST | socket.NI_NUMERICSERV),
    ("getservbyname", "http"),
    ("getservbyname", "domain", "udp"),
    ("getservbyname", "no-such-service"),
    ("getservbyport", 443),
    ("getservbyport", 443, "tcp"),
    ("getservbyport", 6, "udp"),
    ("getprotobyname", "icmp"),
    ("getprotobyname", "no-such-protocol"),
]


def outcome(ask: Any) -> tuple[Any, ...]:
    """Return what *ask* returns, or the textbook's class and number of what it raises."""
    try:
        return ("value", ask())
    except OSError as exc:
        kinds = (gaierror, herror, OSError)
        return (next(kind for kind in kinds if isinstance(exc, kind)), exc.errno)


@pytest.mark.parametrize("question", QUESTIONS, ids=str)
def test_the_answer_is_that_of_the_socket_module_whatever_is_asked(
    poller_name: str, question: tuple[Any, ...]
) -> None:
    """Values equal, errors of the same class and number; once through a future, once through a callback."""
    name, *args = question
    wanted = outcome(lambda: getattr(socket, name)(*args))
    answers: list[Any] = []
    with stage_on(poller_name) as stage:
        lookup = getattr(stage.resolver, name)(*args, callback=answers.append)
        assert not lookup.done()
        assert not answers
        assert outcome(lambda: stage.run_until(lookup, PATIENCE)) == wanted
        [answer] = answers
        assert answer is lookup.result() if wanted[0] == "value" else isinstance(answer, wanted[0])


# -- what fails ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "raised", "error", "builtin", "text"),
    [
        (("getaddrinfo", "x", 1), gaierror(-3, "later"), ResolutionFailed, gaierror, "try again later"),
        (("gethostbyname", "x"), gaierror(-2, "none"), ResolutionFailed, gaierror, "check the spelling"),
        (("gethostbyname_ex", "x"), herror(2, "later"), HostUnknown, herror, "'x' has no address: later"),
        (("gethostbyaddr", "x"), herror(1, "Unknown"), HostUnknown, herror, "'x' has no name: Unknown"),
        (("gethostbyaddr", "x"), gaierror(-2, "none"), ResolutionFailed, gaierror, "'x' has no name"),
        (("getnameinfo", ("::1", 1)), gaierror(-2, "no"), ResolutionFailed, gaierror, "'::1' has no name"),
        (("getaddrinfo", "x", 1), UnicodeError("label"), ResolutionFailed, gaierror, "label"),
        (("gethostbyaddr", "x"), UnicodeError("label"), HostUnknown, herror, "label"),
        (("getservbyname", "x"), OSError("none found"), ServiceUnknown, OSError, "not known as a service"),
        (("getservbyname", "x"), UnicodeError("surrogate"), ServiceUnknown, OSError, "surrogate"),
        (("getaddrinfo", "x", 1), OSError(24, "too many"), ResolutionFailed, gaierror, "too many"),
        (("getprotobyname", "x"), ZeroDivisionError("a bug"), LookupFailed, ConnectionError, "a bug"),
    ],
)
def test_a_failure_keeps_class_number_and_text_of_the_system(
    question: tuple[Any, ...], raised: Exception, error: type[Exception], builtin: type[Exception], text: str
) -> None:
    """And says whose question it was; the cause is what the system raised."""
    name, *args = question
    function = "getaddrinfo" if name == "gethostbyname" else name
    first = args[0]
    service = NameService({(function, first): raised})
    with stage_on(ops=service) as stage:
        lookup = getattr(stage.resolver, name)(*args)
        stage.until(lookup.done)
        with pytest.raises(error) as caught:
            lookup.result()
    failure = caught.value
    assert type(failure) is error
    assert isinstance(failure, builtin)
    assert isinstance(failure, SystemLimit if error is ServiceUnknown else ConnectionFailure)
    assert text in str(failure)
    assert failure.__cause__ is raised
    assert raised.__traceback__ is None, "it would keep the frames of a thread that is gone"
    if isinstance(raised, gaierror | herror):
        assert (failure.errno, failure.strerror) == (raised.errno, raised.strerror)  # type: ignore[attr-defined]


@pytest.mark.parametrize("error", [ResolutionFailed, HostUnknown, ResolutionTimeout, HostTimeout, LookupCancelled])
def test_a_failure_can_be_sent_to_another_process(error: type[LookupFailed]) -> None:
    """With its text, its number and what the system said; copied, too."""
    for failure in (error("what a person reads", -2, "what the system says"), error("only a text")):
        for other in (pickle.loads(pickle.dumps(failure)), copy.copy(failure)):
            assert type(other) is error
            assert str(other) == str(failure)
            assert (other.errno, other.strerror) == (failure.errno, failure.strerror)


@pytest.mark.parametrize(
    ("question", "error", "builtin", "number"),
    [
        (("lookup", "x", 1), ResolutionTimeout, gaierror, socket.EAI_AGAIN),
        (("getaddrinfo", "x", 1), ResolutionTimeout, gaierror, socket.EAI_AGAIN),
        (("gethostbyname", "x"), ResolutionTimeout, gaierror, socket.EAI_AGAIN),
        (("gethostbyname_ex", "x"), ResolutionTimeout, gaierror, socket.EAI_AGAIN),
        (("gethostbyaddr", "192.0.2.1"), HostTimeout, herror, 2),
        (("getfqdn", "192.0.2.1"), HostTimeout, herror, 2),
        (("getnameinfo", ("192.0.2.1", 80)), HostTimeout, herror, 2),
        (("getservbyname", "http"), LookupTimeout, OSError, None),
        (("getservbyport", 80), LookupTimeout, OSError, None),
        (("getprotobyname", "tcp"), LookupTimeout, OSError, None),
    ],
    ids=str,
)
def test_every_question_has_a_timeout(
    question: tuple[Any, ...], error: type[Exception], builtin: type[Exception], number: int | None
) -> None:
    """It is a TimeoutError, and what the blocking call would have raised at last."""
    clock = VirtualClock()
    with slow_service() as service, Stage(ScriptedPoller(clock), clock=clock, ops=service) as stage:
        name, *args = question
        lookup = getattr(stage.resolver, name)(*args, timeout=2.5)
        service.await_asked()
        stage.run_once()
        stage.settle()
        assert clock.now == 1002.5
        with pytest.raises(error, match=r"longer than 2\.5 s") as caught:
            lookup.result()
    assert isinstance(caught.value, TimeoutError)
    assert isinstance(caught.value, builtin)
    assert number in (None, caught.value.errno)  # type: ignore[attr-defined]


def test_the_name_of_a_service_is_looked_up_in_a_thread_even_if_the_host_is_a_number() -> None:
    """The table of services may be on another machine; a number needs no thread."""
    with stage_on(ops=(service := NameService())) as stage:
        stage.resolver.hosts["named"] = "127.0.0.1"
        for host in ("127.0.0.1", "named"):
            for port in (80, "http"):
                address = stage.run_until(stage.resolver.getaddrinfo(host, port), PATIENCE)[0][4]
                assert address == ("127.0.0.1", 80)
                assert len(service.threads) == (port == "http") + (host == "named")


@pytest.mark.parametrize(
    ("function", "raised", "number"),
    [
        ("getaddrinfo", OSError(errno.EMFILE, "too many open files"), socket.EAI_AGAIN),
        ("getaddrinfo", MemoryError(), socket.EAI_AGAIN),
        ("getaddrinfo", UnicodeError("label"), socket.EAI_NONAME),
        ("getaddrinfo", ZeroDivisionError("a bug"), socket.EAI_FAIL),
        ("gethostbyaddr", OSError(errno.EMFILE, "too many open files"), 2),
        ("gethostbyaddr", UnicodeError("label"), 1),
        ("gethostbyaddr", ZeroDivisionError("a bug"), 3),
    ],
)
def test_what_the_system_has_no_number_for_is_given_the_one_that_comes_nearest(
    function: str, raised: Exception, number: int
) -> None:
    """Out of descriptors is "try again", and not "for good": programs decide by it whether they do."""
    with stage_on(ops=NameService({(function, "x"): raised})) as stage:
        question = getattr(stage.resolver, function)(*["x", 80][: 2 if function == "getaddrinfo" else 1])
        with pytest.raises(LookupFailed) as caught:
            stage.run_until(question, PATIENCE)
    assert caught.value.errno == number


@pytest.mark.parametrize("function", ["lookup", "getaddrinfo", "gethostbyaddr"])
def test_the_zone_of_an_address_keeps_its_spelling(function: str) -> None:
    """It is an interface, and "enP2p1s0" is another one than "enp2p1s0"; only names are the same in any case."""
    asked: list[str] = []

    class Noting(NameService):
        def getaddrinfo(self, host: Any, *rest: Any) -> list[Any]:
            asked.append(host)
            return found("fe80::1")

        def gethostbyaddr(self, host: str) -> Any:
            asked.append(host)
            return "x", [], [host]

    with stage_on(ops=Noting()) as stage:
        for host in ("FE80::1%enP2p1s0", "UPPER"):
            more = () if function == "gethostbyaddr" else (80,)
            stage.run_until(getattr(stage.resolver, function)(host, *more), PATIENCE)
    assert asked == ["FE80::1%enP2p1s0", "upper"]


def test_a_machine_without_a_complete_name_is_called_by_what_it_has() -> None:
    """getfqdn: a name with a dot, else the proper one, else what was asked, and no failure."""
    service = NameService(
        {
            ("gethostbyaddr", "192.0.2.1"): ("short", ["alias", "long.example"], ["192.0.2.1"]),
            ("gethostbyaddr", "192.0.2.2"): ("short", ["alias"], ["192.0.2.2"]),
            ("gethostbyaddr", "here"): ("here", ["here.example"], ["192.0.2.3"]),
            ("gethostbyaddr", "no.address"): gaierror(socket.EAI_NONAME, "none"),
        }
    )
    with stage_on(ops=service) as stage:
        asked = ["192.0.2.1", "192.0.2.2", "192.0.2.9", "No.Name", "No.Address", "", "0.0.0.0", "::"]
        names = [stage.run_until(stage.resolver.getfqdn(host), PATIENCE) for host in asked]
    assert names == ["long.example", "short", "192.0.2.9", "No.Name", "No.Address", *["here.example"] * 3]


@pytest.mark.parametrize(
    "question",
    [
        ("gethostbyname", "a\0b"),
        ("gethostbyname", 7),
        ("gethostbyname_ex", ""),
        ("gethostbyaddr", ""),
        ("gethostbyaddr", "x" * 256),
        ("lookup", "x" * 256, 80),
        ("getfqdn", "a\0b"),
        ("getfqdn", None),
        ("getaddrinfo", "x", -1),
        ("getaddrinfo", "x", ""),
        ("getaddrinfo", "x", "ht\0tp"),
        ("getnameinfo", ("localhost", 80)),
        ("getnameinfo", ("127.0.0.1",)),
        ("getnameinfo", ("127.0.0.1", 80, 0, 0, 0)),
        ("getnameinfo", ("127.0.0.1", 65_536)),
        ("getnameinfo", "127.0.0.1"),
        ("getservbyname", ""),
        ("getservbyname", "http", "t\0cp"),
        ("getservbyport", 70_000),
        ("getprotobyname", None),
    ],
    ids=lambda question: f"{question[0]}-{str(question[1:])[:20]}",
)
def test_what_is_no_question_is_refused_at_once(question: tuple[Any, ...]) -> None:
    """Nothing is asked, and the caller is told."""
    with stage_on(ops=(service := NameService())) as stage:
        with pytest.raises(AddressError):
            getattr(stage.resolver, question[0])(*question[1:])
        with pytest.raises(OptionError, match="timeout"):
            stage.resolver.getservbyport(80, timeout=0)
    assert service.asked == []


# -- a look-up as a future -------------------------------------------------------------------------------------


def test_a_lookup_has_no_result_before_it_has_come() -> None:
    """To ask all the same is a mistake of the program, and the error says how to wait."""
    with stage_on(ops=NameService({("getaddrinfo", "x"): found("192.0.2.7")})) as stage:
        lookup = stage.resolver.gethostbyname("x")
        assert repr(lookup) == "<Lookup of 'x', open>"
        with pytest.raises(UsageError, match="run_until"):
            lookup.result()
        assert stage.run_until(lookup, PATIENCE) == lookup.result() == "192.0.2.7"
        assert repr(lookup) == "<Lookup of 'x', done>"
        assert stage.next_timeout() is None, "its clock runs no more"


def test_a_callback_finds_its_lookup_done_and_leaves_it_so_when_it_raises() -> None:
    """It may ask for the result, or cancel what is over; the result is not put off by a bug in it."""
    seen: list[Any] = []

    def tell(answer: Any) -> None:
        seen.extend([lookup.done(), lookup.result() is answer])
        lookup.cancel()
        raise ZeroDivisionError

    with stage_on(ops=NameService({("getaddrinfo", "x"): found("192.0.2.7")})) as stage:
        lookup = stage.resolver.gethostbyname("x", callback=tell)
        stage.until(lambda: stage.failures)
        assert [type(exc) for exc in stage.take_failures()] == [ZeroDivisionError]
        assert lookup.result() == "192.0.2.7"
    assert seen == [True, True]


def test_the_canonical_name_is_the_one_that_the_system_tells() -> None:
    """Not the one that was asked for."""
    answer = [(socket.AF_INET, socket.SOCK_STREAM, 6, "real.example", ("192.0.2.7", 0))]
    with stage_on(ops=NameService({("getaddrinfo", "x"): answer})) as stage:
        asked = stage.resolver.getaddrinfo("x", 80, flags=socket.AI_CANONNAME)
        assert stage.run_until(asked, PATIENCE) == [(*answer[0][:4], ("192.0.2.7", 80))]


@pytest.mark.parametrize(
    "question", [("gethostbyname", "x"), ("gethostbyname", "127.0.0.1"), ("getservbyname", "http")], ids=str
)
def test_a_cancelled_lookup_is_done_and_says_so(question: tuple[Any, ...]) -> None:
    """Its callback never runs, and its result is a LookupCancelled."""
    answers: list[Any] = []
    with slow_service({("getservbyname", "http"): 80}) as service, stage_on(ops=service) as stage:
        lookup = getattr(stage.resolver, question[0])(*question[1:], callback=answers.append)
        lookup.cancel()
        lookup.cancel()
        assert lookup.done()
        with pytest.raises(LookupCancelled, match="was cancelled"):
            stage.run_until(lookup, PATIENCE)
        service.release(9)
        stage.settle()
    assert answers == []


def test_a_lookup_that_is_answered_cannot_be_cancelled_any_more() -> None:
    """The result stays what it is."""
    with stage_on() as stage:
        lookup = stage.resolver.gethostbyname("127.0.0.1")
        stage.settle(1)
        lookup.cancel()
        assert lookup.result() == "127.0.0.1"
