"""The handshake by hand: a blocking client and a blocking server, of sockets, HMAC and struct, as in a textbook.

They were written from the byte layout in ``docs/authentication.md`` and import nothing of the package, so they
prove that the page says enough, and that the package does what the page says.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import socket
import struct

HASHES = {1: hashlib.sha256, 2: hashlib.sha512}


class Refused(Exception):
    """The other side refused, or did not prove itself."""


def receive_exactly(sock: socket.socket, size: int) -> bytes:
    """Return the next *size* bytes."""
    received = b""
    while len(received) < size:
        data = sock.recv(size - len(received))
        if not data:
            raise Refused("closed")
        received += data
    return received


def receive_frame(sock: socket.socket) -> bytes:
    """Return the next message, with its length."""
    head = receive_exactly(sock, 4)
    (size,) = struct.unpack(">I", head)
    return head + receive_exactly(sock, size)


def opened(frame: bytes, kind: int) -> bytes:
    """Return the fields of a message of *kind*."""
    assert frame[4:7] == b"rxa"
    assert frame[7] == 1
    if frame[8] == 4:
        raise Refused(f"reason {frame[9]}")
    assert frame[8] == kind
    return frame[9:]


def mac(algorithm: int, secret: bytes, role: bytes, context: bytes, transcript: bytes) -> bytes:
    """Return a proof."""
    said = b"reactor handshake 1\0" + role + struct.pack(">H", len(context)) + context + transcript
    return hmac.new(secret, said, HASHES[algorithm]).digest()


def prove_to_server(
    sock: socket.socket, key_id: bytes, secret: bytes, *, context: bytes = b"", algorithms: bytes = b"\x01"
) -> None:
    """Be the client of a handshake on *sock*; raises Refused."""
    challenge = receive_frame(sock)
    fields = opened(challenge, 1)
    offered = fields[1 : 1 + fields[0]]
    assert len(fields) == 1 + fields[0] + 32
    chosen = max(set(offered) & set(algorithms))
    size = HASHES[chosen]().digest_size
    body = b"rxa\x01\x02" + bytes([len(algorithms)]) + algorithms + bytes([chosen])
    body += bytes([len(key_id)]) + key_id + os.urandom(32)
    head = struct.pack(">I", len(body) + size) + body
    proof = mac(chosen, secret, b"C", context, challenge + head)
    sock.sendall(head + proof)
    wanted = mac(chosen, secret, b"S", context, challenge + head + proof)
    if not hmac.compare_digest(wanted, opened(receive_frame(sock), 3)):
        raise Refused("the server has another key")


def have_client_prove(
    sock: socket.socket, keys: dict[bytes, bytes], *, context: bytes = b"", algorithms: bytes = b"\x01"
) -> bytes:
    """Be the server of a handshake on *sock*: return the id of the client's key; raises Refused."""
    body = b"rxa\x01\x01" + bytes([len(algorithms)]) + algorithms + os.urandom(32)
    challenge = struct.pack(">I", len(body)) + body
    sock.sendall(challenge)
    response = receive_frame(sock)
    fields = opened(response, 2)
    count = fields[0]
    offered, chosen = fields[1 : 1 + count], fields[1 + count]
    key_size = fields[2 + count]
    key_id = fields[3 + count : 3 + count + key_size]
    proof = fields[3 + count + key_size + 32 :]
    assert chosen == max(set(offered) & set(algorithms))
    secret = keys.get(key_id) or os.urandom(32)
    wanted = mac(chosen, secret, b"C", context, challenge + response[: -len(proof)])
    if not hmac.compare_digest(wanted, proof):
        sock.sendall(b"\0\0\0\6rxa\x01\x04\x01")
        raise Refused("the client has another key")
    body = b"rxa\x01\x03" + mac(chosen, secret, b"S", context, challenge + response)
    sock.sendall(struct.pack(">I", len(body)) + body)
    return key_id
