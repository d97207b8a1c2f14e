"""An upload server as a textbook would write it: one thread, blocking sockets, from the page that describes the
bytes.

``PlainServer(talk)`` runs ``talk(conversation)`` for the first client that comes.  What the talk does is up to the
test: ``keep_everything`` is an honest server, the others are not.  What it raises is raised again at the end.
"""

from __future__ import annotations

import hashlib
import socket
import struct
import threading
from collections.abc import Callable
from typing import Any, Self

import reactor
from reactor.service.upload.client import UploadClient
from reactor.service.upload.sending import State

PATIENCE = 10.0


class Conversation:
    """One client: ``files`` is what was kept of it, ``said`` the letters of its messages, runs of data as one."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.files: dict[str, bytes] = {}
        self.said = ""
        self.offers: dict[int, tuple[int, bytes, str]] = {}
        self.received: dict[int, bytearray] = {}
        self.cancelled: list[int] = []
        #: After the end: whether it came where a message could have begun.
        self.is_between_messages = False

    def exactly(self, size: int) -> bytes:
        """Return the next *size* bytes; fewer at the end."""
        received = bytearray()
        while len(received) < size and (data := self.socket.recv(size - len(received))):
            received += data
        return bytes(received)

    def hear(self) -> tuple[str, int, bytes]:
        """Return the next message: its letter, the number of its file, and the rest; "" at the end."""
        head = self.exactly(4)
        if len(head) < 4:
            self.is_between_messages = not head
            return "", -1, b""
        size = struct.unpack(">I", head)[0]
        payload = self.exactly(size)
        if len(payload) < size:
            return "", -1, b""
        letter = payload[:1].decode()
        if letter == "B":
            return self.hear()
        if not (letter == "D" and self.said.endswith("D")):
            self.said += letter
        if letter == "H":
            return letter, -1, payload[1:]
        number, rest = struct.unpack(">I", payload[1:5])[0], payload[5:]
        if letter == "O":
            self.offers[number] = struct.unpack(">Q", rest[:8])[0], rest[8:40], rest[40:].decode()
            self.received[number] = bytearray()
        elif letter == "D":
            self.received[number] += rest
        elif letter == "C":
            self.cancelled.append(number)
        return letter, number, rest

    def say(self, payload: bytes) -> None:
        """Send a message."""
        self.socket.sendall(struct.pack(">I", len(payload)) + payload)

    def welcome(self, window: int = 4, data_bytes: int = 10_000) -> None:
        """Hear hello, and welcome."""
        assert self.hear() == ("H", -1, b"reactor-upload\x01")
        self.say(b"W\x01" + struct.pack(">HI", window, data_bytes))

    def go(self, number: int, offset: int = 0) -> None:
        """Ask for the bytes from *offset* on."""
        self.say(b"G" + struct.pack(">IQ", number, offset))

    def kept(self, number: int) -> None:
        """Acknowledge."""
        self.say(b"K" + struct.pack(">I", number))

    def refuse(self, number: int, reason: int = 5, text: bytes = b"no") -> None:
        """Refuse."""
        self.say(b"R" + struct.pack(">IB", number, reason) + text)

    def take(self, number: int, rest: bytes, prefix: bytes = b"") -> None:
        """A file has ended: keep it if its digest is right."""
        size, _, name = self.offers[number]
        content = prefix + bytes(self.received[number])
        if len(content) == size and hashlib.sha256(content).digest() == rest:
            self.files[name] = content
            self.kept(number)
        else:
            self.refuse(number, 4, b"wrong digest")


def keep_everything(conversation: Conversation) -> None:
    """An honest server."""
    conversation.welcome()
    while True:
        letter, number, rest = conversation.hear()
        if letter == "":
            return
        if letter == "O":
            conversation.go(number)
        elif letter == "E":
            conversation.take(number, rest)
        elif letter == "C":
            conversation.refuse(number, 6, b"you gave it up")


class PlainServer:
    """A thread that has one conversation."""

    def __init__(self, talk: Callable[[Conversation], None] = keep_everything) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE)
        self.address = self._listener.getsockname()
        self._talk = talk
        self._failure: BaseException | None = None
        self.conversation: Conversation
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            sock, _ = self._listener.accept()
            with sock:
                sock.settimeout(PATIENCE)
                self.conversation = Conversation(sock)
                self._talk(self.conversation)
        except BaseException as exc:
            self._failure = exc

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc_info: object) -> None:
        self._thread.join()
        self._listener.close()
        if self._failure is not None and kind is None:
            raise self._failure


def send(
    loop: reactor.Reactor, talk: Callable[[Conversation], None], paths: list[str], **options: Any
) -> tuple[UploadClient, Conversation]:
    """Send *paths* to a plain server that does *talk*; return the client, which is done, and the server's side."""
    client = UploadClient(loop, paths, **options)
    with PlainServer(talk) as server:
        client.connect(server.address)
        loop.run_until(client.done, PATIENCE)
    return client, server.conversation


def states(client: UploadClient) -> list[State]:
    """Return how each file ended."""
    return [outcome.state for outcome in client.outcomes()]
