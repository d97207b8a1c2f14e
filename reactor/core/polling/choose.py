"""Which poller: the one asked for, the one that REACTOR_SELECTOR names, or the best that this system has.

The argument comes first, since a program may depend on it; the variable lets an operator or a test decide for a
program that does not care.  A name that this system does not know is refused rather than replaced: whoever asks for
epoll wants to measure epoll.  Only the module of the poller that is chosen is loaded.  Read next:
``reactor.core.registry``, which is given the poller; ``forked`` stands in its place in a forked child.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Mapping
from selectors import BaseSelector

from reactor.arguments import checked_instance
from reactor.core.polling.contract import Poller
from reactor.errors import SelectorUnavailable

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from reactor.ops import Ops

#: The environment variable that decides when the argument does not.
VARIABLE = "REACTOR_SELECTOR"


def _epoll(ops: Ops) -> Poller:
    from reactor.core.polling.by_epoll import EpollPoller

    return EpollPoller()


def _kqueue(ops: Ops) -> Poller:
    from reactor.core.polling.by_kqueue import KqueuePoller

    return KqueuePoller()


def _poll(ops: Ops) -> Poller:
    from reactor.core.polling.by_poll import PollPoller

    return PollPoller()


def _select(ops: Ops) -> Poller:
    from reactor.core.polling.by_select import SelectPoller

    return SelectPoller(ops.is_open)


#: Best first; a poller exists where the ``select`` module has the function of its name.
MAKERS: dict[str, Callable[[Ops], Poller]] = {
    "epoll": _epoll, "kqueue": _kqueue, "poll": _poll, "select": _select,
}  # fmt: skip


def available_pollers() -> list[str]:
    """Return the names of the pollers of this system, best first."""
    return [name for name in MAKERS if hasattr(select, name)]


def poller_choice(choice: str | None, environ: Mapping[str, str]) -> str:
    """Return the name that counts: the argument, else the environment's, else the best that there is.

    Raises ArgumentError for an argument that is no name.
    """
    if choice is None:
        return environ.get(VARIABLE) or available_pollers()[0]
    return checked_instance("selector", choice, str, "the name of a poller, a selectors.BaseSelector, or None")


def open_poller(choice: str | BaseSelector | None, ops: Ops, environ: Mapping[str, str]) -> Poller:
    """Return the poller for *choice*: a name, any selector, or None for the best available.

    A selector that is no ``Poller`` is dressed as one, see ``foreign``; closing the poller closes it.

    Raises SelectorUnavailable for a name that this system does not have, and says which ones it has, ArgumentError
    for what is none of the three.
    """
    if isinstance(choice, Poller):
        return choice
    if isinstance(choice, BaseSelector):
        from reactor.core.polling.foreign import ForeignPoller

        return ForeignPoller(choice, ops.is_open)
    name = poller_choice(choice, environ)
    if name not in available_pollers():
        source = VARIABLE if choice is None else "selector"
        raise SelectorUnavailable(
            f"{source}={name!r}: this system has {', '.join(available_pollers())}; leave it out for the best"
        )
    return MAKERS[name](ops)
