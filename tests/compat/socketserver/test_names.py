"""The face of the module: the names, attributes and parameters of the standard library's, with the same values."""

from __future__ import annotations

import inspect
import pickle
import socketserver as model
import sys
from typing import Any

import pytest

import reactor.compat.socketserver as ours

CLASSES = list(model.__all__)


def test_the_public_names_are_those_of_the_running_python() -> None:
    """Neither more nor fewer, so that ``from socketserver import *`` brings the same."""
    assert sorted(ours.__all__) == sorted(model.__all__)
    assert all(inspect.isclass(getattr(ours, name)) for name in ours.__all__)


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_has_every_public_attribute_of_its_model(name: str) -> None:
    """Methods are methods, and a setting has the same default."""
    for attribute, expected in inspect.getmembers(getattr(model, name)):
        if not attribute.startswith("_"):
            found = getattr(getattr(ours, name), attribute)
            assert callable(found) == callable(expected), attribute
            assert callable(found) or found == expected, attribute


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_adds_only_what_is_documented(name: str) -> None:
    """A program's own attributes are not in our way, nor ours in its."""
    added = {attribute for attribute in dir(getattr(ours, name)) if not attribute.startswith("_")}
    assert added - set(dir(getattr(model, name))) <= {"reactor_selector"}


@pytest.mark.parametrize("name", CLASSES)
def test_a_method_takes_the_parameters_of_its_model(name: str) -> None:
    """By position and by keyword, with the same defaults."""
    for attribute, expected in inspect.getmembers(getattr(model, name), inspect.isfunction):
        if not attribute.startswith("_") or attribute == "__init__":
            assert parameters(getattr(getattr(ours, name), attribute)) == parameters(expected), attribute


def parameters(function: Any) -> list[tuple[str, Any, Any]]:
    """Return name, kind and default of each parameter."""
    return [(each.name, each.kind, each.default) for each in inspect.signature(function).parameters.values()]


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_is_derived_from_the_same_classes_as_its_model(name: str) -> None:
    """So ``isinstance`` and ``super`` find what they find there, in the same order."""
    found = [each.__name__ for each in getattr(ours, name).__mro__]
    assert found == [each.__name__ for each in getattr(model, name).__mro__]


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_is_found_under_the_module_that_was_imported(name: str) -> None:
    """Its name in messages is the one that the program wrote, and it can be pickled by reference."""
    assert getattr(ours, name).__module__ == "reactor.compat.socketserver"
    assert pickle.loads(pickle.dumps(getattr(ours, name))) is getattr(ours, name)


def test_the_forking_unix_servers_are_there_before_python_made_them_public() -> None:
    """They are in ``__all__`` since 3.12, and usable on 3.11."""
    assert issubclass(ours.ForkingUnixStreamServer, ours.UnixStreamServer)
    assert issubclass(ours.ForkingUnixDatagramServer, ours.UnixDatagramServer)
    assert ("ForkingUnixStreamServer" in ours.__all__) == (sys.version_info >= (3, 12))
