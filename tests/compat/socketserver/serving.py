"""Servers in a thread, plain blocking clients in front of them: the two ends of most tests here.

A server serves for as long as a ``with`` block lasts, and is shut down and closed at its end, whatever happened.
The clients are those of the textbooks: they connect, send, read, close, and know nothing of the reactor.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

#: Seconds after which somebody who still waits fails the test.
PATIENCE = 10.0


@contextmanager
def serving(server: Any) -> Iterator[Any]:
    """Have *server* serve in a thread; yield it."""
    # The standard library looks for a shutdown so often; the reactor needs no such thing.
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, name="serving")
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join(PATIENCE)
        server.server_close()
        assert not thread.is_alive()


def connected(address: Any) -> socket.socket:
    """Return a plain blocking socket that is connected to *address*."""
    client = socket.socket(family_of(address))
    client.settimeout(PATIENCE)
    client.connect(address)
    return client


def family_of(address: Any) -> socket.AddressFamily:
    """Return the family of a socket address."""
    if not isinstance(address, tuple):
        return socket.AF_UNIX
    return socket.AF_INET if len(address) == 2 else socket.AF_INET6


def ask(address: Any, request: bytes) -> bytes:
    """Connect, send *request*, say that this was all, and return everything that comes back."""
    with connected(address) as client:
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        return receive_all(client)


def receive_all(client: socket.socket) -> bytes:
    """Return everything up to the server's end."""
    received = b""
    while data := client.recv(65536):
        received += data
    return received


def receive_line(client: socket.socket) -> bytes:
    """Return the next line, byte by byte: what follows stays in the socket."""
    line = b""
    while not line.endswith(b"\n"):
        byte = client.recv(1)
        if not byte:
            break
        line += byte
    return line


def wait_for(event: threading.Event) -> None:
    """Wait for *event*, or fail."""
    assert event.wait(PATIENCE), "it did not happen in time"


def until(condition: Any) -> None:
    """Wait until ``condition()`` holds, or fail.  For what announces itself nowhere."""
    pause = threading.Event()
    for _ in range(int(PATIENCE / 0.002)):
        if condition():
            return
        pause.wait(0.002)
    raise AssertionError("it did not happen in time")


def tls_context(side: int) -> ssl.SSLContext:
    """Return a context for anonymous TLS: encrypted, and without a certificate that would have to be kept here."""
    context = ssl.SSLContext(side)
    if side == ssl.PROTOCOL_TLS_CLIENT:
        context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("aNULL:@SECLEVEL=0")
    return context


def tls_connected(address: Any) -> ssl.SSLSocket:
    """Return a TLS client that is connected to *address*."""
    return tls_context(ssl.PROTOCOL_TLS_CLIENT).wrap_socket(connected(address))
