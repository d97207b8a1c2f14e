"""The scanners in C: one call for a chunk, then one more for all of its frames.

**The problem.**  A C call for each frame is slower than Python (measured: 261 ns against 184).  A C call for each
chunk that returns offsets leaves the slicing to Python, and the slices cost more than finding them (90 ns of 95).

**The idea.**  Let the scanner write the frames down as a *format of the struct module*: ``b"4x5s4x3s"`` says skip 4
bytes, take 5, skip 4, take 3.  ``Struct(program).unpack_from(data)`` runs that as a loop in C and makes all frames
at once, for about 35 ns each.  Our C touches no Python object; what makes them is code that everybody trusts.

**Threads.**  cffi releases the GIL around each call, so two reactors may scan at the same time.  What a call writes
to is taken from a list and put back; ``pop`` and ``append`` of a list are atomic.  The settings are only read.

**Invariant:** same frames, same verdicts as ``scanner_pure``, and the tests compare them on every input they have.

**Few frames** go to ``scanner_pure``: crossing into C, reading the result and parsing the program cost about a
microsecond before the first frame, so C pays from eight frames on (from two for netstrings, where Python is slow).
The first header says well enough how many there are; a wrong guess costs time, never a frame.
Read next: ``_accel/scan.h``.
"""

from __future__ import annotations

from array import array
from struct import Struct

from reactor._accel import ffi, lib
from reactor.framing import scanner_pure
from reactor.framing.seam import FULL, Layout, Packer, Payload, Scan, Scanner

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

#: The declarations that this file was written for, see ``_accel/build.py``.
INTERFACE = 11

if INTERFACE != lib.REACTOR_ACCEL_INTERFACE:
    raise ImportError(
        f"it was built for interface {lib.REACTOR_ACCEL_INTERFACE}, this version needs {INTERFACE}: build it anew",
        name="reactor._accel.interface",
    )

NAME = "native"

#: Frames from which the call into C is repaid.
MANY = 8

#: Bytes of a chunk from which a scan for varints goes to C.  Its first byte says little about the size of a frame.
MANY_BYTES = 512

#: Results that no call is using; as many as scans ever ran at the same time, one for each reactor thread.
_spare: list[Any] = []


def scanner_in_c(function: Callable[..., None], *settings: Any) -> Scanner:
    """Return a scanner that calls ``function(*settings, data, size, at, cuts)``."""
    new, unpack = ffi.new, ffi.unpack

    def scan(data: bytes, at: int, most: int) -> Scan:
        try:
            cuts = _spare.pop()
        except IndexError:  # asking first whether there is one would leave time for another thread to take it
            cuts = new("scan_cuts *")
        size = len(data)
        cuts.most = most
        function(*settings, data, size, at, cuts)  # without the GIL: other threads run meanwhile
        # What C has written is a struct format such as "4x5s4x7s": skip a header, take a frame.  So one call of
        # unpack makes all frames, and C need not know what a Python object is.
        frames = list(Struct(unpack(cuts.program, cuts.length)).unpack_from(data, at)) if cuts.length else []
        while cuts.verdict == FULL and len(frames) < most:  # it is the program that is full
            at = cuts.end
            cuts.most = most - len(frames)
            function(*settings, data, size, at, cuts)
            frames += Struct(unpack(cuts.program, cuts.length)).unpack_from(data, at)
        found = frames, cuts.end, cuts.verdict, cuts.value
        _spare.append(cuts)
        return found

    return scan


def length_scanner(layout: Layout) -> Scanner:
    """Return a scanner for frames behind a length field as *layout* describes it."""
    settings = ffi.new(
        "scan_layout *",
        {
            "offset": layout.offset,
            "size": layout.size,
            "shortest": layout.low + layout.extra,
            "strip": layout.strip,
            "low": layout.low,
            "high": layout.high,
            "little": layout.order == "little",
        },
    )
    scan_few, scan_many = scanner_pure.length_scanner(layout), scanner_in_c(lib.scan_length, settings)
    read = scanner_pure.length_reader(layout.offset, layout.size, layout.order)
    extra, several = layout.extra, MANY * (layout.offset + layout.size)

    def scan(data: bytes, at: int, most: int) -> Scan:
        size = len(data) - at
        if size < several or size < MANY * (read(data, at)[0] + extra):
            return scan_few(data, at, most)
        found = scan_many(data, at, most)
        if found[2] > 0:
            frames, end, _verdict, value = found
            return frames, end, *layout.verdict(value)
        return found

    return scan


def varint_scanner(limit: int) -> Scanner:
    """Return a scanner for frames of at most *limit* bytes behind an unsigned LEB128 length."""
    scan_few, scan_many = scanner_pure.varint_scanner(limit), scanner_in_c(lib.scan_varint, limit)

    def scan(data: bytes, at: int, most: int) -> Scan:
        return (scan_few if len(data) - at < MANY_BYTES else scan_many)(data, at, most)

    return scan


def netstring_scanner(limit: int) -> Scanner:
    """Return a scanner for netstrings of at most *limit* payload bytes."""
    return scanner_in_c(lib.scan_netstring, limit, len(str(limit)))


def packer(size: int, order: str, bias: int) -> Packer:
    """Return a function from payloads and their sizes to all of them joined, each behind its length."""
    layout = ffi.new("pack_layout *", {"size": size, "bias": bias, "little": order == "little"})
    from_buffer, widest = ffi.from_buffer, size or 10

    def pack(payloads: Sequence[Payload], sizes: list[int]) -> bytes:
        joined = b"".join(payloads)
        room = len(joined) + widest * len(sizes)
        out = bytearray(room)
        counts = from_buffer("uint64_t[]", array("Q", sizes))
        written = lib.pack_lengths(layout, joined, len(joined), counts, len(sizes), from_buffer(out), room)
        if not written:  # the C code has refused numbers that do not add up, and written nothing
            raise SystemError("pack_lengths refused sizes that do not add up: this is a bug of reactor")
        return bytes(out) if written == room else bytes(memoryview(out)[:written])

    return pack
