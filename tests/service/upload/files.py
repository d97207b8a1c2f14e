"""Files for the store of uploads, and what can be seen of them in its directory."""

from __future__ import annotations

import hashlib
from pathlib import Path

from reactor.service.upload.messages import Offer
from reactor.service.upload.partial import Partial
from reactor.service.upload.store import FOLDER_NAME, Store

DATA = bytes(range(256)) * 40
DIGEST = hashlib.sha256(DATA).digest()
GIBIBYTE = 2**30


def offer(name: str = "a", size: int = len(DATA), key: bytes = b"k" * 32) -> Offer:
    """Return an offer of a file."""
    return Offer(0, size, key, name.encode())


def admitted(store: Store, offered: Offer) -> Partial:
    """Return where the bytes of *offered* go; there is no other file of that size and name."""
    found = store.admit(offered)
    assert isinstance(found, Partial)
    return found


def received(store: Store, offered: Offer, data: bytes = DATA) -> Partial:
    """Return the temporary file of *offered* with *data* in it."""
    partial = admitted(store, offered)
    partial.append([memoryview(data)])
    return partial


def put(store: Store, offered: Offer, data: bytes = DATA) -> None:
    """Upload *data*."""
    assert store.commit(received(store, offered, data), offered, hashlib.sha256(data).digest())


def visible(folder: Path) -> dict[str, bytes]:
    """Return what is in *folder* as anybody sees it: names and contents."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}


def parts(folder: Path) -> list[str]:
    """Return the temporary files in *folder*."""
    return [path.name for path in (folder / FOLDER_NAME).iterdir() if path.name != "lock"]


def same(store: Store, name: str, size: int, digest: bytes) -> bool:
    """Return True if *store* finds that *name* is such a file."""
    return store._has_same(name, size, digest)
