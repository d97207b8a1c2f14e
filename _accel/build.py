"""The cffi build of ``reactor._accel``: which C files, which declarations, which flags.

API mode: the compiler sees the real headers, so a declaration that has drifted from them fails the build instead
of the program.  cffi limits itself to Python's stable ABI (one module for every CPython from 3.11 on) unless the
interpreter is free-threaded or a debug build, where that ABI does not exist.

``setup.py`` names this file in ``cffi_modules``; to build by hand::

    python setup.py build_ext --inplace
    python _accel/build.py DIRECTORY            # puts reactor/_accel.*.so below DIRECTORY

Read next: ``declarations.h``, then ``scan.h``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent

SOURCES = ("scan.c", "pack.c", "pump.c", "batch.c", "drive_check.c", "drive.c")
HEADERS = ("scan.h", "pack.h", "pump.h", "batch.h", "drive.h", "drive_measure.h", "drive_message.h", "drive_send.h")
FLAGS = ("-std=c11", "-O2")

#: Raised by one whenever a declaration changes, so that a stale module is refused instead of trusted;
#: ``reactor/framing/scanner_accel.py`` knows the number that it fits.
INTERFACE = 10


def make_ffibuilder() -> FFI:
    """Return the builder of the extension module ``reactor._accel``."""
    builder = FFI()
    builder.cdef((HERE / "declarations.h").read_text(encoding="utf-8"))
    builder.set_source(
        "reactor._accel",
        # One translation unit: no list of sources whose paths depend on where the build happens to run.
        "\n".join(f'#include "{name}"' for name in SOURCES),
        include_dirs=[str(HERE)],
        depends=[f"{HERE.name}/{name}" for name in (*SOURCES, *HEADERS, "declarations.h")],
        define_macros=[("REACTOR_ACCEL_INTERFACE", str(INTERFACE))],
        extra_compile_args=list(FLAGS) if sys.platform != "win32" else [],
    )
    return builder


ffibuilder = make_ffibuilder()

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} DIRECTORY")
    ffibuilder.compile(tmpdir=sys.argv[1])
