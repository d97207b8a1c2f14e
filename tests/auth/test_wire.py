"""The messages byte by byte, against a layout and proofs written down here by hand, and malformed in each way."""

from __future__ import annotations

import hashlib
import hmac
import struct
from itertools import pairwise

import pytest

from reactor.auth import wire
from reactor.auth.wire import packed, parsed
from reactor.errors import AuthenticationFailed, OptionError
from tests.auth.sides import SECRET, client_of, run_of, server_of

SERVER_NONCE, CLIENT_NONCE = bytes(range(32)), bytes(range(32, 64))


def framed(body: bytes) -> bytes:
    """Return *body* behind its length."""
    return struct.pack(">I", len(body)) + body


#: One message of each kind, every field at its shortest and at its longest.
SAMPLES = {
    "shortest challenge": framed(b"rxa\x01\x01" + b"\x01\x01" + SERVER_NONCE),
    "longest challenge": framed(b"rxa\x01\x01" + b"\x08\x08\x07\x06\x05\x04\x03\x02\x01" + SERVER_NONCE),
    "shortest response": framed(b"rxa\x01\x02" + b"\x01\x01" + b"\x01" + b"\x01k" + CLIENT_NONCE + bytes(32)),
    "longest response": framed(
        b"rxa\x01\x02"
        + b"\x08\x08\x07\x06\x05\x04\x03\x02\x01"
        + b"\x02"
        + b"\x40"
        + b"k" * 64
        + CLIENT_NONCE
        + bytes(64)
    ),
    "short acceptance": framed(b"rxa\x01\x03" + bytes(32)),
    "long acceptance": framed(b"rxa\x01\x03" + bytes(64)),
    "refusal": framed(b"rxa\x01\x04" + b"\x01"),
}


@pytest.mark.parametrize("name", list(SAMPLES))
def test_a_message_is_read_and_written_alike(name: str) -> None:
    """Each bound of each field; what was read is written as the same bytes."""
    frame = SAMPLES[name]
    message = parsed(frame)
    assert message.frame == frame
    assert packed(message.kind, **message.fields) == frame
    assert len(frame) <= wire.HEAD_BYTES + wire.FRAME_BYTES


@pytest.mark.parametrize("name", list(SAMPLES))
def test_a_message_is_refused_when_it_is_shortened_or_lengthened(name: str) -> None:
    """By any number of bytes.  Only a proof may be from 32 to 64 long, and then it is another one."""
    frame = SAMPLES[name]
    proof = parsed(frame).fields.get("proof", b"")
    for size in {*range(len(frame) + 100)} - {len(frame)}:
        message = parsed_or_none((frame + bytes(100))[:size])
        assert message is None or 32 <= len(message.fields["proof"]) != len(proof)


def parsed_or_none(frame: bytes) -> wire.Message | None:
    """Return the message, None if it was refused."""
    try:
        return parsed(frame)
    except AuthenticationFailed:
        return None


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "no message of the handshake"),
        (b"GET / HTTP/1.1", "no message of the handshake"),
        (b"rxa", "version  of"),
        (b"rxa\x02\x01" + bytes(40), "version 02 of the handshake, this side 01"),
        (b"rxa\x01", "kind ''"),
        (b"rxa\x01\x05", "kind '05'"),
        (b"rxa\x01\x01\x00" + SERVER_NONCE, "'algorithms'"),
        (b"rxa\x01\x01\x09" + bytes(9) + SERVER_NONCE, "'algorithms'"),
        (b"rxa\x01\x01\x01\x01" + SERVER_NONCE + b"x", "1 bytes too many"),
        (b"rxa\x01\x02\x01\x01\x01\x00" + CLIENT_NONCE + bytes(32), "'key_id'"),
        (b"rxa\x01\x02\x01\x01\x01\x41" + b"k" * 65 + CLIENT_NONCE + bytes(32), "'key_id'"),
        (b"rxa\x01\x02\x01\x01\x01\x01k" + CLIENT_NONCE + bytes(31), "'proof'"),
        (b"rxa\x01\x02\x01\x01\x01\x01k" + CLIENT_NONCE + bytes(65), "'proof'"),
        (b"rxa\x01\x04", "'reason'"),
    ],
)
def test_what_is_malformed_is_refused_with_the_field_that_is_wrong(body: bytes, text: str) -> None:
    """The error is the peer's, and says where to look."""
    with pytest.raises(AuthenticationFailed) as caught:
        parsed(framed(body))
    assert text in str(caught.value)


@pytest.mark.parametrize(("name", "number"), [("sha256", 1), ("sha512", 2)])
def test_a_handshake_is_the_documented_bytes(name: str, number: int) -> None:
    """Every byte of it, with the proofs computed here from what the documentation says they are made of."""
    hashed, algorithm = getattr(hashlib, name), bytes([number])
    client = client_of(nonce=CLIENT_NONCE, context=b"billing", algorithms=[name])
    run = run_of(server_of(nonce=SERVER_NONCE, context=b"billing"), client)
    assert run.challenge == framed(b"rxa\x01\x01" + b"\x02\x02\x01" + SERVER_NONCE)
    head = b"rxa\x01\x02" + b"\x01" + algorithm + algorithm + b"\x05app-1" + CLIENT_NONCE
    head = struct.pack(">I", len(head) + hashed().digest_size) + head
    meant = b"\x00\x07billing"
    said = run.challenge + head
    proof = hmac.new(SECRET, b"reactor handshake 1\x00" + b"C" + meant + said, hashed).digest()
    assert run.response == head + proof
    own = hmac.new(SECRET, b"reactor handshake 1\x00" + b"S" + meant + said + proof, hashed).digest()
    assert run.acceptance == framed(b"rxa\x01\x03" + own)


def test_a_proof_is_what_it_was_in_the_first_version() -> None:
    """A vector, so that nobody changes the protocol and its tests together: old clients would be shut out."""
    run = run_of(
        server_of(nonce=SERVER_NONCE, algorithms=["sha256"]), client_of(nonce=CLIENT_NONCE, algorithms=["sha256"])
    )
    assert hashlib.sha256(b"".join(run)).hexdigest() == VECTOR


VECTOR = "34115214dbda78e171130aa78ea603f231e2ce65c07a3a1140ff2b09e4b0ad3c"


def test_every_part_of_a_proof_counts() -> None:
    """Another secret, role, context, transcript or algorithm, or the same bytes cut elsewhere: another proof."""
    variations = [
        (1, SECRET, b"C", b"", b"transcript"),
        (2, SECRET, b"C", b"", b"transcript"),
        (1, SECRET[::-1], b"C", b"", b"transcript"),
        (1, SECRET, b"S", b"", b"transcript"),
        (1, SECRET, b"C", b"t", b"ranscript"),
        (1, SECRET, b"C", b"tr", b"anscript"),
        (1, SECRET, b"C", b"", b"transcripts"),
    ]
    proofs = [wire.proof(*variation) for variation in variations]
    assert len(set(proofs)) == len(proofs)
    assert wire.proof(1, SECRET, b"C", b"", b"tran", b"script") == proofs[0]


@pytest.mark.parametrize(
    ("ours", "theirs", "chosen"),
    [(b"\2\1", b"\2\1", 2), (b"\2\1", b"\1", 1), (b"\1", b"\x09\2\1", 1), (b"\2", b"\7\2", 2)],
)
def test_the_strongest_algorithm_that_both_have_is_chosen(ours: bytes, theirs: bytes, chosen: int) -> None:
    """What only one side has does not matter, nor does what nobody here knows yet."""
    assert wire.strongest(ours, theirs) == chosen


@pytest.mark.parametrize("theirs", [b"\1\2", b"\2\2", b"\2\1\1"])
def test_a_list_of_algorithms_is_refused_when_it_is_out_of_order(theirs: bytes) -> None:
    """There is one spelling of each list."""
    with pytest.raises(AuthenticationFailed, match="out of order"):
        wire.strongest(b"\2\1", theirs)


def test_a_list_of_algorithms_is_refused_when_nothing_of_it_is_known() -> None:
    """The message has both lists."""
    with pytest.raises(AuthenticationFailed, match=r"takes the algorithms \[3\], and this side \[2, 1\]"):
        wire.strongest(b"\2\1", b"\3")


def test_the_algorithms_are_sent_from_the_strongest_down() -> None:
    """Whatever the order in which they were named; what is not there is refused, and so is none at all."""
    assert wire.numbers_of(["sha256", "sha512", "sha256"]) == b"\2\1"
    for names in ([], ["md5"], ["sha256", "sha1"]):
        with pytest.raises(OptionError, match="algorithms are some of sha256, sha512"):
            wire.numbers_of(names)


def test_no_algorithm_is_weaker_than_sha_256_and_a_larger_number_is_stronger() -> None:
    """The rule by which numbers are given."""
    sizes = [hashlib.new(wire.ALGORITHMS[number]).digest_size for number in sorted(wire.ALGORITHMS)]
    assert sizes[0] >= 32
    assert all(weaker < stronger for weaker, stronger in pairwise(sizes))
    assert [wire.PROOF_BYTES[number] for number in sorted(wire.ALGORITHMS)] == sizes
