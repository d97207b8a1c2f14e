"""Files, from one machine to another: durable before they are acknowledged, resumed where they were cut off.

Read in this order: ``names`` and ``messages`` (what the two ends agree on, sans-IO), then the server from the disk
up: ``disk``, ``quota``, ``partial``, ``existing``, ``store`` (a file becomes durable, step by step), ``transfer``
(messages that arrive meet jobs that take their time), ``session``, ``server``; and the client: ``source``,
``sending``, ``client``.  ``docs/upload.md`` has the wire format and the promises.
"""

from __future__ import annotations

from reactor.service.upload.client import UploadClient
from reactor.service.upload.server import UploadServer
from reactor.service.upload.store import Store

__all__ = ["Store", "UploadClient", "UploadServer"]
