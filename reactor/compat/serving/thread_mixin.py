"""A thread for each request.

This is the simplest server that can talk to several clients at once, and it costs a thread for each of them,
whether they say something or not.  The folder ``pooled`` has the alternative.

``server_close`` waits for the threads, so it has to know them.  The standard library looks at all of them whenever
one is added; here the list is swept when it has doubled since the last time, so that ten thousand open connections
do not make the next one slow.  Read next: ``fork_mixin``.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from reactor.compat.serving.base_server import BaseServer as _Server
else:
    _Server = object

#: Threads that may lie in the list before it is swept for the first time.
SWEEP_MIN = 8


class _Threads(list[threading.Thread]):
    """The threads to wait for.  Daemons are not waited for."""

    sweep_at = SWEEP_MIN

    def append(self, thread: threading.Thread, /) -> None:
        if thread.daemon:
            return
        if len(self) >= self.sweep_at:
            self.reap()
            self.sweep_at = max(SWEEP_MIN, 2 * len(self))
        super().append(thread)

    def reap(self) -> None:
        """Forget those that have ended."""
        self[:] = [thread for thread in self if thread.is_alive()]

    def pop_all(self) -> list[threading.Thread]:
        """Take all of them out."""
        self[:], taken = [], self[:]
        return taken

    def join(self) -> None:
        """Wait until each has ended; whoever calls this does not wait for himself."""
        for thread in self.pop_all():
            if thread is not threading.current_thread():
                thread.join()


class _NoThreads:
    """What stands there as long as nobody is to be waited for."""

    def append(self, thread: threading.Thread) -> None:
        pass

    def join(self) -> None:
        pass


class ThreadingMixIn(_Server):
    """Answers each request in a thread of its own.  Stands before the server in the list of bases."""

    #: Let the program end although threads of requests still run; ``server_close`` does not wait for them then.
    daemon_threads = False

    #: Let ``server_close`` wait for the threads of requests, unless they are daemons.
    block_on_close = True

    _threads: _Threads | _NoThreads = _NoThreads()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread for the request.  Raises RuntimeError when the system has none left."""
        if self.block_on_close:
            vars(self).setdefault("_threads", _Threads())
        thread = threading.Thread(target=self.process_request_thread, args=(request, client_address))
        thread.daemon = self.daemon_threads
        thread.start()
        self._threads.append(thread)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer the request, in its thread; what that raises goes to ``handle_error``."""
        try:
            self.finish_request(request, client_address)
        except Exception:
            self.handle_error(request, client_address)
        finally:
            self.shutdown_request(request)

    def server_close(self) -> None:
        """Close the server and wait for the threads, as far as ``block_on_close`` and ``daemon_threads`` say."""
        super().server_close()
        self._threads.join()
