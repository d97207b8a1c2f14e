"""The upload server on every poller, with a plain client at the other end: whole files, broken ones, slow disks."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

import reactor
from reactor.service.upload.messages import DATA_BYTES, WINDOW, Reason
from tests.service.upload.peer import UploadPeer, cancel, data, end, offer
from tests.service.upload.serving import Serving

CONTENT = bytes(range(256)) * 4000


# -- whole files -----------------------------------------------------------------------------------------------


def test_a_file_is_there_when_it_has_been_acknowledged(serving: Serving) -> None:
    """Hello, offer, go, data, end, kept: the whole conversation with a plain socket."""
    with UploadPeer(serving.loop, serving.address) as peer:
        assert peer.greet() == b"W\x01" + struct.pack(">HI", WINDOW, DATA_BYTES)
        peer.send(offer(0, len(CONTENT), "文件.bin".encode()))
        assert peer.answer() == ("G", 0, bytes(8))
        peer.send(data(0, CONTENT))
        assert serving.files() == {}
        peer.send(end(0, CONTENT))
        assert peer.answer() == ("K", 0, b"")
        assert serving.files() == {"文件.bin": CONTENT}
    counters = serving.server.counters
    assert (counters.files, counters.refused, counters.bytes_in) == (1, 0, len(CONTENT))


def test_many_files_are_sent_without_waiting_for_an_answer_in_between(serving: Serving) -> None:
    """All are offered, then all are sent, then all are acknowledged, in whatever order they are done."""
    with serving.peer() as peer:
        contents = {number: b"%d" % number * number for number in range(WINDOW)}
        peer.send(b"".join(offer(n, len(c), b"file-%d" % n) for n, c in contents.items()))
        assert {peer.answer()[:2] for _ in contents} == {("G", n) for n in contents}
        peer.send(b"".join((data(n, c) if c else b"") + end(n, c) for n, c in contents.items()))
        assert {peer.answer() for _ in contents} == {("K", n, b"") for n in contents}
    assert serving.files() == {f"file-{n}": c for n, c in contents.items()}


def test_the_bytes_of_several_files_may_be_mixed(serving: Serving) -> None:
    """Each message of data says which file it belongs to."""
    with serving.peer() as peer:
        peer.send(offer(1, 6, b"a") + offer(2, 6, b"b"))
        assert {peer.answer().number, peer.answer().number} == {1, 2}
        for i in range(6):
            peer.send(data(1, b"ABCDEF"[i : i + 1]) + data(2, b"uvwxyz"[i : i + 1]))
        peer.send(end(2, b"uvwxyz") + end(1, b"ABCDEF"))
        assert {peer.answer().letter, peer.answer().letter} == {"K"}
    assert serving.files() == {"a": b"ABCDEF", "b": b"uvwxyz"}


def test_a_conversation_may_arrive_one_byte_at_a_time(serving: Serving) -> None:
    """The network cuts where it likes."""
    with serving.peer() as peer:
        for byte in offer(0, 3, b"a"):
            peer.send(bytes([byte]))
        assert peer.answer().letter == "G"
        for byte in data(0, b"ab") + data(0, b"c") + end(0, b"abc"):
            peer.send(bytes([byte]))
        assert peer.answer().letter == "K"
    assert serving.files() == {"a": b"abc"}


def test_a_file_that_is_there_already_is_acknowledged_without_its_bytes(serving: Serving) -> None:
    """Same name, same size: the offset is the size, and the digest decides."""
    with serving.peer() as peer:
        assert peer.upload(0, b"a", CONTENT).letter == "K"
        peer.send(offer(1, len(CONTENT), b"a", b"x" * 32))
        assert peer.answer().offset == len(CONTENT)
        peer.send(end(1, CONTENT))
        assert peer.answer().letter == "K"
        assert serving.server.counters.bytes_in == len(CONTENT)
        answer = peer.upload(2, b"a", CONTENT[::-1], b"x" * 32)
        assert (answer.letter, answer.reason) == ("R", Reason.EXISTS)
    assert serving.files() == {"a": CONTENT}


def test_a_file_is_replaced_when_that_is_allowed_and_only_by_a_whole_one(
    loop: reactor.Reactor, tmp_path: Path
) -> None:
    """Of the same size: the digest does not fit, so the bytes are asked for after all."""
    serving = Serving(loop, tmp_path, overwrite=True)
    with serving.peer() as peer:
        peer.upload(0, b"a", CONTENT)
        peer.send(offer(1, len(CONTENT), b"a", b"x" * 32))
        assert peer.answer().offset == len(CONTENT)
        peer.send(end(1, CONTENT[::-1]))
        assert peer.answer() == ("G", 1, bytes(8))
        peer.send(data(1, CONTENT[::-1][:100_000]))
        serving.until(lambda: serving.parts() == [100_000])
        assert serving.files() == {"a": CONTENT}
        peer.send(data(1, CONTENT[::-1][100_000:]) + end(1, CONTENT[::-1]))
        assert peer.answer().letter == "K"
    assert serving.files() == {"a": CONTENT[::-1]}
    serving.stop()


def test_files_on_a_unix_socket_are_the_same(loop: reactor.Reactor, tmp_path: Path) -> None:
    """Only the address differs; an adopted listener serves as well."""
    (tmp_path / "d").mkdir()
    serving = Serving(loop, tmp_path / "d")
    serving.server.listen_unix(str(tmp_path / "s"))
    plain = socket.create_server(("127.0.0.1", 0))
    serving.server.adopt_listener(plain)
    for number, address in enumerate((str(tmp_path / "s"), plain.getsockname())):
        with UploadPeer(loop, address) as peer:
            peer.greet()
            assert peer.upload(0, b"%d" % number, b"abc").letter == "K"
    assert serving.files() == {"0": b"abc", "1": b"abc"}
    serving.stop()


# -- broken transfers ------------------------------------------------------------------------------------------


def test_a_broken_transfer_goes_on_behind_the_last_byte_that_arrived(serving: Serving) -> None:
    """Whatever had been received when the connection broke needs not to be sent again."""
    with serving.peer() as peer:
        peer.send(offer(0, len(CONTENT), b"a"))
        peer.answer()
        peer.send(data(0, CONTENT[:300_000]))
        serving.until(lambda: serving.server.counters.bytes_in == 300_000)
    serving.until(lambda: not serving.server.claims)
    assert (serving.files(), serving.parts()) == ({}, [300_000])
    with serving.peer() as peer:
        peer.send(offer(0, len(CONTENT), b"a"))
        assert peer.answer().offset == 300_000
        peer.send(data(0, CONTENT[300_000:]) + end(0, CONTENT))
        assert peer.answer().letter == "K"
    assert (serving.files(), serving.parts()) == ({"a": CONTENT}, [])


def test_a_beginning_that_was_another_file_is_asked_for_again(serving: Serving) -> None:
    """The digest says so; the same connection goes on from the first byte, once."""
    with serving.peer() as peer:
        peer.send(offer(0, 1000, b"a"))
        peer.answer()
        peer.send(data(0, bytes(600)))
        serving.until(lambda: serving.server.counters.bytes_in == 600)
    serving.until(lambda: not serving.server.claims)
    with serving.peer() as peer:
        peer.send(offer(0, 1000, b"a"))
        assert peer.answer().offset == 600
        peer.send(data(0, CONTENT[600:1000]) + end(0, CONTENT[:1000]))
        assert peer.answer() == ("G", 0, bytes(8))
        peer.send(data(0, CONTENT[:1000]) + end(0, b"something else"))
        answer = peer.answer()
        assert (answer.letter, answer.reason) == ("R", Reason.DIGEST)
    assert (serving.files(), serving.parts()) == ({}, [])


def test_a_file_is_kept_when_the_client_goes_before_it_hears_of_it(serving: Serving) -> None:
    """All bytes and the digest have come: there is nothing more that a client could say."""
    with serving.peer() as peer:
        peer.send(offer(0, len(CONTENT), b"a"))
        peer.answer()
        peer.send(data(0, CONTENT) + end(0, CONTENT))
    serving.until(lambda: serving.server.counters.files)
    assert serving.files() == {"a": CONTENT}


def test_a_cancelled_file_leaves_nothing_and_its_place_is_free(serving: Serving) -> None:
    """The client has found out that it sends something that does not exist any more."""
    with serving.peer() as peer:
        for number in range(3 * WINDOW):
            peer.send(offer(number, 1000, b"a") + b"")
            assert peer.answer().letter == "G"
            peer.send(data(number, bytes(500)) + cancel(number))
            answer = peer.answer()
            assert (answer.letter, answer.reason) == ("R", Reason.CANCELLED)
    serving.until(lambda: not serving.server.claims)
    assert (serving.files(), serving.parts()) == ({}, [])


def test_an_offer_that_is_cancelled_before_the_answer_is_dropped(serving: Serving) -> None:
    """It was being examined; a *go* does not come any more."""
    with serving.peer() as peer:
        peer.send(offer(0, 1000, b"a") + cancel(0))
        assert peer.answer().letter == "R"
        assert peer.upload(1, b"a", b"abc").letter == "K"
    serving.until(lambda: not serving.server.claims)
    assert serving.parts() == []


# -- several clients -------------------------------------------------------------------------------------------


def test_of_two_files_with_one_name_the_first_that_is_complete_has_it(serving: Serving) -> None:
    """Both are received at the same time; the other is refused, and no byte of it is in the file."""
    with serving.peer() as one, serving.peer() as two:
        one.send(offer(0, 6, b"a", b"1" * 32))
        two.send(offer(0, 6, b"a", b"2" * 32))
        assert one.answer().letter == two.answer().letter == "G"
        one.send(data(0, b"one"))
        two.send(data(0, b"twotwo") + end(0, b"twotwo"))
        assert two.answer().letter == "K"
        one.send(data(0, b"one") + end(0, b"oneone"))
        answer = one.answer()
        assert (answer.letter, answer.reason) == ("R", Reason.EXISTS)
    assert (serving.files(), serving.parts()) == ({"a": b"twotwo"}, [])


def test_the_same_file_on_a_second_connection_waits_for_the_first(serving: Serving) -> None:
    """It is told when the first is done, and then needs not to be sent."""
    with serving.peer() as one, serving.peer() as two:
        one.send(offer(0, len(CONTENT), b"a"))
        one.answer()
        two.send(offer(0, len(CONTENT), b"a"))
        one.send(data(0, CONTENT[:1_000_000]))
        serving.until(lambda: serving.server.counters.bytes_in == 1_000_000)
        one.send(data(0, CONTENT[1_000_000:]) + end(0, CONTENT))
        assert one.answer().letter == "K"
        assert two.answer().offset == len(CONTENT)
        two.send(end(0, CONTENT))
        assert two.answer().letter == "K"
    assert serving.server.counters.bytes_in == len(CONTENT)


def test_the_second_connection_goes_on_when_the_first_breaks(serving: Serving) -> None:
    """A client that lost its network comes back before the server has noticed."""
    with serving.peer() as one, serving.peer() as two:
        one.send(offer(0, len(CONTENT), b"a"))
        one.answer()
        two.send(offer(0, len(CONTENT), b"a"))
        one.send(data(0, CONTENT[:400_000]))
        serving.until(lambda: serving.server.counters.bytes_in == 400_000)
        one.socket.close()
        answer = two.answer()
        assert (answer.letter, answer.offset) == ("G", 400_000)
        two.send(data(0, CONTENT[400_000:]) + end(0, CONTENT))
        assert two.answer().letter == "K"
    assert serving.files() == {"a": CONTENT}


def test_one_who_waits_may_leave_without_disturbing_the_others(serving: Serving) -> None:
    """Of three with the same file the second goes; the third still has its turn."""
    with serving.peer() as one, serving.peer() as two, serving.peer() as three:
        for count, peer in enumerate((one, two, three)):
            peer.send(offer(0, 4, b"a"))
            serving.until(lambda count=count: serving.transfers() == count + 1)  # type: ignore[misc]
        assert one.answer().letter == "G"
        two.socket.close()
        serving.until(lambda: serving.server.counters.open == 2)
        one.send(cancel(0))
        one.answer()
        assert three.answer().offset == 0
        three.send(data(0, b"abcd") + end(0, b"abcd"))
        assert three.answer().letter == "K"
