"""Which scanner is chosen, what is said about it, and what the native one does beyond the common cases."""

from __future__ import annotations

import subprocess
import sys
import threading
from types import ModuleType

import pytest

from reactor.errors import AccelUnavailable, OptionError
from reactor.framing import LengthPrefixed, Netstrings, accel_status
from reactor.framing.scanner import backend


@pytest.fixture
def no_native(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which the compiled module is missing."""
    monkeypatch.setitem(sys.modules, "reactor._accel", None)
    monkeypatch.delitem(sys.modules, "reactor.framing.scanner_accel", raising=False)
    monkeypatch.delattr("reactor.framing.scanner_accel", raising=False)
    monkeypatch.delenv("REACTOR_ACCEL", raising=False)


# -- the choice ------------------------------------------------------------------------------------------------


def test_scanner_is_the_one_demanded_when_it_is_there(accel: str) -> None:
    """By argument, and by the environment, which the fixture has set to the same."""
    assert backend(accel).NAME == backend(None).NAME == accel
    assert accel_status() == accel_status(None)
    assert accel_status()[0] == accel


def test_argument_wins_when_the_environment_says_otherwise(accel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who writes the code knows better than who starts it."""
    monkeypatch.setenv("REACTOR_ACCEL", "native" if accel == "pure" else "pure")
    assert [backend(accel).NAME, accel_status(accel)[0]] == [accel, accel]


@pytest.mark.usefixtures("no_native")
def test_codecs_are_pure_when_native_is_missing_and_nobody_demands_it() -> None:
    """``auto`` falls back without a word; only ``accel_status`` tells."""
    assert backend().NAME == "pure"
    name, reason = accel_status()
    assert name == "pure"
    assert "falling back" in reason
    assert all(word in reason for word in ("not built", "C compiler", "python3-dev", "pip install"))
    assert LengthPrefixed().feed(b"\0\0\0\1x") == [b"x"]


@pytest.mark.usefixtures("no_native")
@pytest.mark.parametrize("make", [LengthPrefixed, Netstrings])
def test_error_names_the_reason_when_native_is_demanded_and_missing(
    make: type[LengthPrefixed] | type[Netstrings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loud, when the codec is made; ``accel_status`` reports instead of raising."""
    with pytest.raises(AccelUnavailable, match=r"native.*reactor\._accel"):
        make(accel="native")
    monkeypatch.setenv("REACTOR_ACCEL", "native")
    with pytest.raises(AccelUnavailable):
        make()
    assert accel_status()[0] == "pure"
    assert "an error on first use" in accel_status()[1]


def test_reason_is_cffi_when_only_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The module was built, but its run-time is not installed: say what to install."""
    from reactor.framing import scanner

    def missing() -> ModuleType:
        raise ImportError("No module named '_cffi_backend'", name="_cffi_backend")

    monkeypatch.setattr(scanner, "native_backend", missing)
    with pytest.raises(AccelUnavailable, match="pip install"):
        backend("native")


def test_reason_is_the_linker_s_when_the_module_is_there_and_cannot_be_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An ImportError names the module in this case, too; it was said then that the module was not built."""
    from reactor.framing import scanner

    def unlinkable() -> ModuleType:
        raise ImportError("undefined symbol: PyNo_Such", name="reactor._accel")

    monkeypatch.setattr(scanner, "native_backend", unlinkable)
    assert "cannot be loaded: undefined symbol: PyNo_Such" in accel_status("auto")[1]


@pytest.mark.usefixtures("no_native")
def test_module_is_refused_when_it_was_built_for_another_interface(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stale build is reported, not trusted."""
    stale = ModuleType("reactor._accel")
    stale.ffi = None  # type: ignore[attr-defined]
    stale.lib = type("lib", (), {"REACTOR_ACCEL_INTERFACE": 0})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "reactor._accel", stale)
    with pytest.raises(AccelUnavailable, match=r"interface 0.*build it anew"):
        backend("native")


def test_word_is_refused_when_it_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both places name themselves and the words that they take."""
    with pytest.raises(OptionError, match=r"accel is one of auto, native, pure"):
        backend("quick")
    monkeypatch.setenv("REACTOR_ACCEL", "quick")
    with pytest.raises(OptionError, match=r"REACTOR_ACCEL is one of"):
        accel_status()


def test_compiled_module_is_not_loaded_when_nobody_made_a_codec() -> None:
    """Importing the codecs costs no cffi."""
    program = "import sys, reactor.framing; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "reactor.framing.scanner_pure" in loaded
    assert not {"_cffi_backend", "reactor._accel", "reactor.framing.scanner_accel"} & set(loaded)


# -- the native scanner ----------------------------------------------------------------------------------------


def test_frames_are_complete_when_one_program_cannot_hold_them(accel: str) -> None:
    """A chunk of 20,000 frames fills the program several times over."""
    codec = LengthPrefixed(2, accel=accel)
    payloads = [b"%d" % number for number in range(20_000)]
    stream = codec.encode_many(payloads)
    assert codec.feed(stream + b"\x00") == payloads
    assert codec.buffered == 1


@pytest.mark.parametrize("make", [lambda a: LengthPrefixed("varint", accel=a), lambda a: Netstrings(accel=a)])
def test_empty_frames_are_complete_when_one_program_cannot_hold_them(accel: str, make: object) -> None:
    """The densest streams that there are."""
    codec = make(accel)  # type: ignore[operator]
    assert codec.feed(codec.encode(b"") * 30_000) == [b""] * 30_000


def test_results_are_not_mixed_up_when_threads_scan_at_the_same_time(accel: str) -> None:
    """cffi releases the GIL: two scans may run at once, and each has its own result."""
    template = LengthPrefixed(2, accel=accel)
    wrong: list[int] = []

    def scan(mark: int) -> None:
        payloads = [bytes([mark]) * (index % 50) for index in range(500)]
        decoder = template.fresh()
        stream = decoder.encode_many(payloads)
        for _ in range(50):
            if decoder.feed(stream) != payloads:
                wrong.append(mark)

    threads = [threading.Thread(target=scan, args=(mark,)) for mark in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
