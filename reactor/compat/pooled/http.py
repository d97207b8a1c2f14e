"""http.server's keep-alive connections on a pool: between two requests they wait in the reactor.

``http.server`` answers the requests of a connection in a loop inside of ``handle``, and each turn of it is one
``handle_one_request``.  So little is needed: that method is ``handle_one``, and the flag that ends the loop has the
same name.  The mix-in imports nothing of ``http.server``; it fits ``BaseHTTPRequestHandler`` and whatever is
derived from it without another ``handle``, in the standard library or on this package's ``socketserver``::

    class Server(PooledMixIn, http.server.HTTPServer):
        pass

    class Handler(PooledHTTPMixIn, http.server.SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"   # or no connection is kept

The reactor collects the head of a request (RFC 9112: up to the first empty line), and its body as well if the
length is announced and both together are not longer than ``request_limit``.  A client that sends its request byte
by byte never sees a thread before it is done; one with a longer body takes a thread when the head is there.
Whoever waits for "100 Continue" gets one with his head.

Read next: ``socketserver``, the face of it all.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reactor.compat.pooled.handler import PooledHandlerMixIn

if TYPE_CHECKING:
    from collections.abc import Callable

CONTENT_LENGTH = re.compile(rb"\ncontent-length[ \t]*:[ \t]*([0-9]{1,18})[ \t]*\r?\n")


class PooledHTTPMixIn(PooledHandlerMixIn):
    """Has an HTTP handler give its thread back between two requests.  Stands first in the list of bases."""

    request_end = b"\r\n\r\n"

    if TYPE_CHECKING:
        handle_one_request: Callable[[], None]

    @classmethod
    def is_request_complete(cls, data: bytearray, start: int) -> bool:
        """Return whether the head is there, and the body, if it is short enough to be collected."""
        end = _end_of_head(data)
        if end < 0:
            return _is_hopeless(data)
        head = data[:end].lower()
        length = CONTENT_LENGTH.search(head, max(0, head.find(b"\ncontent-length")))
        if length is None or b"\nexpect" in head:
            return True
        size = end + int(length[1])
        return size > cls.request_limit or len(data) >= size

    def handle_one(self) -> None:
        """Answer one request; its head decides whether there may be another."""
        self.close_connection = True
        self.handle_one_request()


def _end_of_head(data: bytearray) -> int:
    """Return where the head ends, behind the first empty line; -1 if that has not come.

    http.server takes bare line feeds too (RFC 9112, section 2.2).  Whoever sends byte by byte has this called as
    often, so it is two searches of C and no regular expression.
    """
    ends = [found + len(mark) for mark in (b"\n\r\n", b"\n\n") if (found := data.find(mark)) >= 0]
    return min(ends, default=-1)


def _is_hopeless(data: bytearray) -> bool:
    """Return True if the first line is there and is none of HTTP/1: no head will follow, only an answer."""
    line, newline, _ = data.partition(b"\n")
    return bool(newline) and b" HTTP/" not in line
