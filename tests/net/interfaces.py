"""What the interfaces of this machine have that not every machine's do."""

from __future__ import annotations

import socket

import pytest


def link_local() -> tuple[str, str, int]:
    """Return a link-local address of this machine, its interface and that one's number; skip if there is none."""
    try:
        with open("/proc/net/if_inet6", encoding="ascii") as table:
            rows = [line.split() for line in table]
    except OSError:
        rows = []
    for digits, index, _, _, _, interface in rows:
        if digits.startswith("fe80"):
            return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits)), interface, int(index, 16)
    pytest.skip("no interface of this machine has a link-local address")
