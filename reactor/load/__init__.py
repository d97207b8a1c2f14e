"""A load generator that looks at the replies.

``run(Plan("127.0.0.1:8888", connections=64))`` returns a ``Result``; ``reactor load`` is the same at the command
line. It drives any TCP, Unix or UDP server that echoes, in a closed loop (how much can it take?) or an open one
(what do users feel at this rate?), verifies every byte, and says when it was itself the bottleneck.

Read in this order: ``messages`` (what is said) · ``buckets`` (how durations are counted) · ``judge`` (what can be
wrong) · ``plan`` · ``engine`` and the two of them · ``result`` · ``course``.
"""

from __future__ import annotations

from reactor.load.course import run
from reactor.load.plan import Plan
from reactor.load.progress import Moment, make_progress
from reactor.load.report import report
from reactor.load.result import Result

__all__ = ["Moment", "Plan", "Result", "make_progress", "report", "run"]
