"""A process for each request.

The child is a copy of the server: it has the connection, answers the request and ends without returning.  It also
has a copy of the loop that waits in the parent, and that is safe, because an open loop lets go of its poller in
every child (see ``reactor.core.process.forking``).

Children that have ended stay zombies until their parent asks for them.  That happens after every round of
``serve_forever``; when ``max_children`` are at work, the server waits for one of them before it goes on.  The
standard library waits for *any* child of the process then, and so takes the exit status of programs that other code
has started.  Here it is one of its own, where the system has pidfd_open(2).

``os._exit`` skips what a Python program does at its end, so what a handler has printed would be lost if it still
lay in a buffer.  Here the buffers are flushed before the fork, so that they are not written twice, and before the
exit; and what ``handle_error`` itself raises is printed instead of vanishing.

Read next: ``pooled.worker_threads``, the first part of a third way.
"""

from __future__ import annotations

import os
import select
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, NoReturn

    from reactor.compat.serving.base_server import BaseServer as _Server
else:
    _Server = object


class ForkingMixIn(_Server):
    """Answers each request in a process of its own.  Stands before the server in the list of bases."""

    #: Seconds after which ``handle_request`` gives up and children are collected.
    timeout: float | None = 300

    #: The process numbers of the children at work; None before the first one.
    active_children: set[int] | None = None

    #: When so many are at work, no further request is taken until one of them has ended.
    max_children = 40

    #: Let ``server_close`` wait for the children.
    block_on_close = True

    def process_request(self, request: Any, client_address: Any) -> None:
        """Fork a child for the request.  Raises OSError when the system has no process left."""
        _flush()
        pid = os.fork()
        if not pid:
            self._answer_in_child(request, client_address)
        if self.active_children is None:
            self.active_children = set()
        self.active_children.add(pid)
        self.close_request(request)

    def _answer_in_child(self, request: Any, client_address: Any) -> NoReturn:
        """Answer the request and end the process, whatever happens."""
        status = 1
        try:
            try:
                self.finish_request(request, client_address)
                status = 0
            except Exception:
                self.handle_error(request, client_address)
            finally:
                self.shutdown_request(request)
        except SystemExit:
            pass
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            try:
                _flush()
            finally:
                os._exit(status)

    def collect_children(self, *, blocking: bool = False) -> None:
        """Ask for children that have ended; wait for all of them if *blocking*, for one if there are too many."""
        if self.active_children is None:
            return
        while len(self.active_children) >= self.max_children:
            try:
                self.active_children.discard(_wait_for_one_of(self.active_children))
            except ChildProcessError:
                self.active_children.clear()
            except OSError:
                break
        for pid in list(self.active_children):
            try:
                pid, _ = os.waitpid(pid, 0 if blocking else os.WNOHANG)  # 0: still at work
            except ChildProcessError:
                pass  # somebody else has asked for it
            except OSError:
                continue
            self.active_children.discard(pid)

    def service_actions(self) -> None:
        """Collect children after each round of ``serve_forever``."""
        self.collect_children()

    def handle_timeout(self) -> None:
        """Collect children when no request comes."""
        self.collect_children()

    def server_close(self) -> None:
        """Close the server and collect the children; wait for them if ``block_on_close`` says so."""
        super().server_close()
        self.collect_children(blocking=self.block_on_close)


def _wait_for_one_of(children: set[int]) -> int:
    """Wait until one of *children* has ended, and return its number.  Raises OSError."""
    watched: dict[int, int] = {}
    try:
        for pid in children:
            watched[_open_process(pid)] = pid
        if -1 in watched:
            return os.waitpid(-1, 0)[0]
        pid = watched[_first_readable(list(watched))]
        try:
            os.waitpid(pid, 0)
        except ChildProcessError:
            pass  # somebody else has asked for it
        return pid
    except ProcessLookupError:
        return pid  # the same, earlier
    finally:
        for descriptor in watched:
            if descriptor >= 0:
                os.close(descriptor)


def _open_process(pid: int) -> int:
    """Return a descriptor that is readable when the child has ended; -1 if there is none to be had."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        raise
    except (AttributeError, OSError):  # another system, an old one, or no descriptor left
        return -1


def _first_readable(descriptors: list[int]) -> int:
    """Wait until one of *descriptors* is readable, and return it."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return poll.poll()[0][0]


def _flush() -> None:
    """Write out what lies in the buffers of the standard streams."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, ValueError, OSError):
            pass  # there is none, or it is closed, or nobody reads it
