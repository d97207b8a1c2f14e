"""A client of the upload server, written by hand from the page that describes the bytes: sockets and struct, no
more.

It stands on ``Peer``: a plain socket that turns the server's loop while it waits.
"""

from __future__ import annotations

import hashlib
import struct
from typing import NamedTuple

from tests.service.peer import Peer

HELLO = b"Hreactor-upload\x01"

KEY = b"k" * 32


class Answer(NamedTuple):
    """What the server said: its letter, the number of the file (-1: none), and the rest."""

    letter: str
    number: int
    rest: bytes

    @property
    def offset(self) -> int:
        """Of a *go*."""
        return int.from_bytes(self.rest, "big")

    @property
    def reason(self) -> int:
        """Of a *refused*."""
        return self.rest[0]


def frame(payload: bytes) -> bytes:
    """Return *payload* behind its length."""
    return struct.pack(">I", len(payload)) + payload


def offer(number: int, size: int, name: bytes, key: bytes = KEY) -> bytes:
    """Return the frame that offers a file."""
    return frame(b"O" + struct.pack(">IQ", number, size) + key + name)


def data(number: int, content: bytes) -> bytes:
    """Return the frames that carry *content*, at least one; none is longer than the server allows."""
    chunks = [content[start : start + 100_000] for start in range(0, len(content), 100_000)] or [b""]
    return b"".join(frame(b"D" + struct.pack(">I", number) + chunk) for chunk in chunks)


def end(number: int, content: bytes) -> bytes:
    """Return the frame that ends a file with *content*."""
    return frame(b"E" + struct.pack(">I", number) + hashlib.sha256(content).digest())


def cancel(number: int) -> bytes:
    """Return the frame that gives a file up."""
    return frame(b"C" + struct.pack(">I", number))


class UploadPeer(Peer):
    """A plain socket that speaks the protocol."""

    def greet(self) -> bytes:
        """Say hello; return the server's welcome."""
        self.send(frame(HELLO))
        (size,) = struct.unpack(">I", self.receive(4))
        return self.receive(size)

    def answer(self) -> Answer:
        """Return the next thing that the server says, signs of life left out; the letter "" is its end."""
        while True:
            head = self.receive(4)
            if len(head) < 4:
                return Answer("", -1, head)
            payload = self.receive(struct.unpack(">I", head)[0])
            if payload != b"B":
                number = struct.unpack(">I", payload[1:5])[0] if len(payload) >= 5 else -1
                return Answer(payload[:1].decode(), number, payload[5:])

    def upload(self, number: int, name: bytes, content: bytes, key: bytes = KEY) -> Answer:
        """Send a whole file, from where the server wants it; return the last word on it."""
        self.send(offer(number, len(content), name, key))
        answer = self.answer()
        while answer.letter == "G":
            if answer.offset < len(content):
                self.send(data(number, content[answer.offset :]))
            self.send(end(number, content))
            answer = self.answer()
        return answer
