"""The cffi build of the two C modules: which C files, which declarations, which flags.

``reactor._accel`` is for servers and clients: it cuts, packs, receives and sends.  ``reactor.load._drive`` drives
the load generator.  They share nothing, and they are two so that no server maps code that only measures it.

API mode: the compiler sees the real headers, so a declaration that has drifted from them fails the build instead
of the program.  cffi limits itself to Python's stable ABI (one module for every CPython from 3.11 on) unless the
interpreter is free-threaded or a debug build, where that ABI does not exist.

``setup.py`` names this file in ``cffi_modules``; to build by hand::

    python setup.py build_ext --inplace
    python _accel/build.py DIRECTORY            # puts reactor/_accel.*.so and reactor/load/_drive.*.so below it

Read next: ``declarations.h``, then ``scan.h``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent

SOURCES = ("scan.c", "pack.c", "pump.c", "batch.c")
HEADERS = ("scan.h", "pack.h", "pump.h", "batch.h")
DRIVE_SOURCES = ("drive_check.c", "drive.c")
DRIVE_HEADERS = ("drive.h", "drive_measure.h", "drive_message.h", "drive_send.h")
FLAGS = ("-std=c11", "-O2")

#: Raised by one whenever a declaration changes, so that a stale module is refused instead of trusted;
#: ``reactor/framing/scanner_accel.py`` knows the number that it fits.
INTERFACE = 11

#: The same for the load generator's module and ``reactor/load/engine_native.py``.
DRIVE_INTERFACE = 1


def make_ffibuilder(
    module: str, declarations: str, sources: tuple[str, ...], headers: tuple[str, ...], interface: tuple[str, int]
) -> FFI:
    """Return the builder of the extension *module*; *interface* is a macro and its value."""
    builder = FFI()
    builder.cdef((HERE / declarations).read_text(encoding="utf-8"))
    macro, number = interface
    builder.set_source(
        module,
        # One translation unit: no list of sources whose paths depend on where the build happens to run.
        "\n".join(f'#include "{name}"' for name in sources),
        include_dirs=[str(HERE)],
        depends=[f"{HERE.name}/{name}" for name in (*sources, *headers, declarations)],
        define_macros=[(macro, str(number))],
        extra_compile_args=list(FLAGS) if sys.platform != "win32" else [],
    )
    return builder


ffibuilder = make_ffibuilder(
    "reactor._accel", "declarations.h", SOURCES, HEADERS, ("REACTOR_ACCEL_INTERFACE", INTERFACE)
)
drive_ffibuilder = make_ffibuilder(
    "reactor.load._drive", "drive_declarations.h", DRIVE_SOURCES, DRIVE_HEADERS,
    ("REACTOR_DRIVE_INTERFACE", DRIVE_INTERFACE),
)  # fmt: skip

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} DIRECTORY")
    ffibuilder.compile(tmpdir=sys.argv[1])
    drive_ffibuilder.compile(tmpdir=sys.argv[1])
