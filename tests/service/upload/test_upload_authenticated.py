"""Uploads behind the gate: nobody offers a file who has not proved that he has the key."""

from __future__ import annotations

from pathlib import Path

import pytest

import reactor
from reactor.auth import Key, KeyRing
from reactor.errors import AuthenticationFailed, ConnectionFailure
from reactor.service.upload.client import UploadClient
from reactor.service.upload.sending import State
from tests.auth.sides import ANOTHER_SECRET, RING
from tests.service.upload.serving import Serving

PATIENCE = 10.0


def send(loop: reactor.Reactor, serving: Serving, path: Path, keys: KeyRing | None) -> list[State]:
    """Send the file *path* and return what became of it."""
    client = UploadClient(loop, [str(path)], timeout=PATIENCE, keys=keys)
    try:
        client.connect(serving.address)
        return [outcome.state for outcome in loop.run_until(client, PATIENCE)]
    finally:
        client.close()


def test_only_those_who_have_the_key_leave_a_file(poller_name: str, tmp_path: Path) -> None:
    """Another key, and none at all, come to nothing: no file, no temporary file, and no connection is counted."""
    folder, path = tmp_path / "kept", tmp_path / "file"
    folder.mkdir()
    path.write_bytes(b"content")
    with reactor.Reactor(poller_name) as loop:
        serving = Serving(loop, folder, keys=RING)
        assert send(loop, serving, path, RING) == [State.KEPT]
        path.write_bytes(b"something else")
        path.rename(other := tmp_path / "other")
        with pytest.raises(AuthenticationFailed):
            send(loop, serving, other, KeyRing([Key("app-1", ANOTHER_SECRET)]))
        with pytest.raises(reactor.ReactorError):
            send(loop, serving, other, None)
        assert (serving.files(), serving.parts()) == ({"file": b"content"}, [])
        assert serving.server.counters.connections == 1
        serving.stop()


def test_a_client_that_gives_up_in_its_handshake_ends(poller_name: str, tmp_path: Path) -> None:
    """There is a connection, and it is not the client's yet; giving up ends both."""
    path = tmp_path / "file"
    path.write_bytes(b"content")
    silent = reactor.Protocol()
    with reactor.Reactor(poller_name) as loop:
        listener = loop.listen_tcp(lambda: silent, "127.0.0.1")
        client = UploadClient(loop, [str(path)], timeout=PATIENCE, keys=RING)
        connector = client.connect(listener.address)
        loop.run_until(lambda: connector.stream is not None, PATIENCE)
        client.abort(ConnectionFailure("enough"))
        with pytest.raises(ConnectionFailure, match="enough"):
            loop.run_until(client, PATIENCE)
        client.close()
