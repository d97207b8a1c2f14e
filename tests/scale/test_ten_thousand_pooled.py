"""Ten thousand connections on a pooled ``socketserver`` with a handful of threads: silent ones cost none.

The server has a process of its own, the clients two others.  What is asserted is how many threads there are and
that everybody is answered; how long that takes is for ``bench/pooled.py``.
"""

from __future__ import annotations

import resource

import pytest

from tests.scale.crowd import Crowd
from tests.scale.test_ten_thousand import CONNECTIONS, OTHERS, all_do, children

#: Threads that may serve, and those that a process has beside them: main, serving, waiting.
THREADS = 8
BESIDE = 3

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        resource.getrlimit(resource.RLIMIT_NOFILE)[1] < CONNECTIONS + OTHERS,
        reason=f"needs a hard limit of {CONNECTIONS + OTHERS} descriptors (ulimit -Hn)",
    ),
]


def test_ten_thousand_silent_connections_take_no_thread() -> None:
    """A live client is answered among them; all of them are, when they speak; and they are silent again."""
    with children(("tests.scale.pooled_server", str(THREADS))) as (server,):
        port = server.hear()
        crowd = ("tests.scale.crowd", port, str(CONNECTIONS // 2))
        with children(crowd, crowd) as crowds:
            all_do(crowds, "open")
            while (silent := server.ask("report"))["waiting"] < CONNECTIONS:
                pass
            live = Crowd(int(port), 3)
            live.open()
            for _ in range(20):
                live.talk()
            among_silent = server.ask("report")
            all_do(crowds, "talk")
            while (talked := server.ask("report"))["waiting"] < CONNECTIONS + 3:
                pass
            live.talk()
            live.close()
            all_do(crowds, "close")
        while (after := server.ask("report"))["open"]:
            pass
    assert (silent["threads"], silent["in_all"]) == (0, BESIDE)
    assert talked["open"] == CONNECTIONS + 3
    assert max(state["threads"] for state in (among_silent, talked, after)) <= THREADS
    assert max(state["in_all"] for state in (among_silent, talked, after)) <= THREADS + BESIDE
