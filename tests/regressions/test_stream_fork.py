"""A child process that was forked while the reactor was open lets go of it, and the parent does not notice.

What the two share is the kernel's: sockets, connections, and the file of a Unix socket.  The child may close its
copies; it may not end, reset or remove anything.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.net.recorder import Recorder, echo
from tests.net.stage import Stage, connect, stage_on

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system"),
    # Other tests leave no thread behind, but Python cannot know that it is alone.
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


def in_child(deed: Callable[[], object]) -> int:
    """Do *deed* in a forked child and return the child's exit status."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            deed()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def reopened(stage: Stage) -> None:
    stage.reopen()
    stage.close()


def closed_first(stage: Stage) -> None:
    for transport in list(stage._shared.transports):
        transport.close()  # type: ignore[attr-defined]
    stage.close()


@pytest.mark.parametrize("deed", [Stage.close, reopened, closed_first])
def test_the_parent_serves_on_when_a_child_closes_the_reactor(
    poller_name: str, tmp_path: Path, deed: Callable[[Stage], object]
) -> None:
    """Old connections, new connections and the path of the listener are as before."""
    protocols: list[Recorder] = []

    def factory() -> Recorder:
        protocols.append(Recorder(data_received=echo))
        return protocols[-1]

    path = tmp_path / "socket"
    with stage_on(poller_name) as stage:
        listener = stage.listen_unix(factory, str(path))
        with connect(listener) as old:
            stage.until(lambda: protocols)
            assert in_child(lambda: deed(stage)) == 0
            assert path.is_socket(), "the child has removed the parent's path"
            old.sendall(b"old")
            stage.until(lambda: protocols[0].received)
            assert old.recv(10) == b"old"
            with connect(listener):
                stage.until(lambda: len(protocols) == 2)
        listener.close()
        assert not path.exists()
