"""What a caller gives, looked at before anything is changed.

A wrong argument that is only stored fails later, in the loop, where nobody knows any more who it came from; or it
is taken for something else, as an empty list is for "no host".  So each call that is public checks what it is
given, with one of these few functions, before it changes anything.  Each returns the value, in the form that is
reckoned with, or raises one error that names the argument, what came, and what is wanted: an ArgumentError (a
TypeError) for what is of the wrong kind, an OptionError (a ValueError) for a number, a flag or a duration that
cannot be.

What is more than a kind or a range (an address, a factory of protocols, the settings of a codec) is checked in the
file of that thing.  Read next: ``ops``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from reactor.errors import ArgumentError, OptionError

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from typing import Any, TypeVar

    T = TypeVar("T")

#: The largest number that the system takes for a descriptor, a signal, or the length of a queue: a C int.
LARGEST_INT = 2**31 - 1


def seconds(value: float, name: str) -> float:
    """Return *value* as the float that the heap and the clock can reckon with; *name* says in a message what it is.

    Infinity is a number of seconds, of either sign.  Raises ArgumentError for what is no real number (text is
    none), OptionError for NaN, which has no place in an order, and for an int too large for a float.
    """
    if type(value) is not float:
        try:
            math.isnan(value)  # refuses text, which float() would read
            value = float(value)
        except TypeError:
            raise ArgumentError(f"{name} is a number of seconds, not {type(value).__name__}") from None
        except OverflowError:
            raise OptionError(f"{name} is a number of seconds that fits into a float: use math.inf") from None
    if value != value:
        raise OptionError(f"{name} is a number of seconds, not NaN")
    return value


def checked_seconds(name: str, value: Any, *, none: bool = True, zero: bool = False) -> Any:
    """Return *value* if it is a positive number of seconds; also None unless *none* is false, and 0 if *zero* is
    true.  Raises OptionError."""
    if value is None and none:
        return None
    try:
        # The sum refuses what could not be added to the clock's instant later: text, and 10**400.  NaN is neither.
        if value + 0.0 > 0 or (zero and value + 0.0 == 0):
            return value
    except (TypeError, OverflowError):
        pass
    wanted = "number of seconds, 0 or more" if zero else "positive number of seconds"
    raise OptionError(f"{name} is a {wanted}{' or None' if none else ''}, not {shown(value)}")


def checked_whole(
    name: str,
    value: Any,
    least: int = 0,
    most: float = math.inf,
    *,
    what: str = "whole number",
    none: bool = False,
) -> Any:
    """Return *value* if it is an int from *least* to *most*, and no bool; also None if *none* is
    true.  *what* is what it is, for the message.  Raises OptionError."""
    if value is None and none:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
        return value
    wanted = f"at least {least}" if most == math.inf else f"{least} to {most}"
    raise OptionError(f"{name} is a {what}, {wanted}{', or None' if none else ''}, not {shown(value)}")


def checked_flag(name: str, value: Any) -> bool:
    """Return *value* as a bool if it is True, False, 1 or 0.  Raises OptionError for the rest: "no" is true in
    Python."""
    if not (isinstance(value, int) and value in (0, 1)):
        raise OptionError(f"{name} is True or False, not {shown(value)}")
    return bool(value)


def checked_callable(name: str, value: Any, *, none: bool = False) -> Any:
    """Return *value* if it can be called; also None if *none* is true.  Raises ArgumentError."""
    if not (callable(value) or (none and value is None)):
        raise ArgumentError(f"{name} is a function{', or None' if none else ''}, not {shown(value)}")
    return value


def checked_instance(name: str, value: T, kind: type, wanted: str) -> T:
    """Return *value* if it is of *kind*, which *wanted* describes.  Raises ArgumentError."""
    if not isinstance(value, kind):
        raise ArgumentError(f"{name} is {wanted}, not {shown(value)}")
    return value


def checked_items(name: str, values: Any, kind: type | tuple[type, ...], wanted: str) -> list[Any]:
    """Return *values* as a list, if it is an iterable of *kind*, as *wanted* calls it; text is none, though it is
    one of letters.  Raises ArgumentError."""
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise ArgumentError(f"{name} is an iterable of {wanted}, such as a list, not {shown(values)}")
    items = list(values)
    for item in items:
        if not isinstance(item, kind):
            raise ArgumentError(f"each of {name} is a {wanted}, not {shown(item)}")
    return items


def not_iterable(name: str, value: object, exc: TypeError) -> TypeError:
    """Return the error for *exc*, which going through *value* has raised: one that names it if it is no iterable,
    else *exc*, which is about what is in it.

    For hot paths, which cannot afford to look before: it is called when that has failed, and nothing is changed.
    """
    if isinstance(value, Iterable):
        return exc
    return ArgumentError(f"{name} is an iterable, such as a list, not {shown(value)}")


def shown(value: object) -> str:
    """Return *value* as a message shows it: cut, and of what cannot be shown its type."""
    try:
        text = repr(value)
    except Exception:  # an int of ten thousand digits; a __repr__ that is broken as well
        return f"an instance of {type(value).__name__}"
    return text if len(text) <= 500 else f"{text[:100]}... ({type(value).__name__})"
