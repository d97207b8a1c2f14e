"""Real programs that were built on asyncore, each in a process of its own, on ours in place of the original's.

Nothing in a program is changed: the lines before its imports are all that its owner would write.  A program says
where it listens, and ends when SIGTERM has set a flag, or a letter says so: an exception from a signal handler may
strike in a destructor, and is lost there.  Read next: ``test_asyncore_programs``.
"""

from __future__ import annotations

import importlib.util
import sys
import textwrap
from pathlib import Path

import pytest

from tests.cli.running import Serving, environment

#: What stands before each program.
SUBSTITUTE = """
import signal, sys, warnings
from reactor.compat import asynchat, asyncore
sys.modules["asyncore"], sys.modules["asynchat"] = asyncore, asynchat
stopping = []
signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
"""

SMTP = """
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import smtpd

letters = []

class Keeping(smtpd.SMTPServer):
    def process_message(self, peer, sender, recipients, data, **keywords):
        if b"refuse me" in data:
            return "550 no"
        if b"stop the server" in data:
            raise asyncore.ExitNow
        letters.append("|".join([sender, *recipients, data.decode()]))

server = Keeping(("127.0.0.1", 0), None)
print(f"listening on 127.0.0.1:{server.socket.getsockname()[1]}: smtp", flush=True)
try:
    asyncore.loop(use_poll=sys.argv[1] == "poll2")
except asyncore.ExitNow:
    asyncore.close_all()
print(*letters, sep="\\0", flush=True)
"""

FTP = """
import logging
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer
import pyftpdlib.ioloop
assert pyftpdlib.ioloop.asyncore is asyncore and issubclass(FTPHandler, asynchat.async_chat)

logging.basicConfig(level=logging.ERROR)
FTPHandler.authorizer = DummyAuthorizer()
FTPHandler.authorizer.add_user("user", "password", sys.argv[1], perm="elradfmwMT")
FTPHandler.auth_failed_timeout = 0
server = FTPServer(("127.0.0.1", 0), FTPHandler)
print(f"listening on 127.0.0.1:{server.address[1]}: ftp", flush=True)
while not stopping:
    server.serve_forever(timeout=0.05, blocking=False)
server.close_all()
"""

WSGI = """
sys.modules["asyncore_wsgi.asyncore"] = asyncore
import asyncore_wsgi

class Shouting(asyncore_wsgi.AsyncWebSocketHandler):
    def handleMessage(self):
        self.sendMessage(self.data.upper())

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello ", environ["PATH_INFO"].encode(), b"x" * 10_000]

with warnings.catch_warnings():
    warnings.simplefilter("ignore", ResourceWarning)  # it drops a socket that its second base class has made
    server = asyncore_wsgi.make_server("127.0.0.1", 0, application, ws_handler_class=Shouting)
# Its own poller is a copy of the original's on epoll; on ours the original's is on epoll.
server._poll_func = getattr(asyncore, sys.argv[1])
print(f"listening on 127.0.0.1:{server.server_port}: wsgi", flush=True)
while not stopping:
    server.poll_once(0.05)
server.handle_close()
"""


def need(module: str) -> None:
    """Skip the test, with the reason, where *module* is not installed."""
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed: pip install '.[test]'")


def serving(program: str, *arguments: str, poller: str) -> Serving:
    """Return *program*, running."""
    text = SUBSTITUTE + textwrap.dedent(program)
    words = [sys.executable, "-c", text, *arguments]
    return Serving(program=words, env=environment(REACTOR_SELECTOR=poller))


def run_tests_of_the_original(folder: Path, *modules: str) -> list[str]:
    """Return the command that runs unittest *modules* of the standard library on ours."""
    program = SUBSTITUTE + textwrap.dedent(
        """
        import os, unittest
        os.chdir(sys.argv[1])
        suite = unittest.defaultTestLoader.loadTestsFromNames(sys.argv[2:])
        result = unittest.TextTestRunner(verbosity=2).run(suite)
        print(result.testsRun, *(test.id() for test, _ in result.failures + result.errors))
        """
    )
    return [sys.executable, "-c", program, str(folder), *modules]
