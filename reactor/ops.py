"""The one seam to the operating system: everything that the reactor asks of it, apart from waiting and the time.

The reactor is given three things from outside: a poller, a clock, and an ``Ops``.  Nothing else in ``core`` or
``net`` opens a socket, touches a descriptor by number, installs a signal handler, starts a thread or looks up a
name; what is done to an open socket goes through that socket's own methods.  So a simulated kernel can stand under
the very same code, and a test can make any one call fail.

Each method is the system's own call under its own name, with the failure modes of its manual page: no policy lives
here.  ``reactor.testing`` has what can take its place.  Read next: ``probe``.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from _thread import RLock, get_ident
from collections.abc import Callable

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    import threading
    from socket import socket as Socket
    from typing import Any

#: True where ``eventfd`` exists (Linux): one descriptor and no buffer to fill, where a pair takes two.
HAS_EVENTFD = hasattr(os, "eventfd")


class Ops:
    """The operating system.  Stateless; one object may serve every reactor.  All sockets are non-blocking."""

    __slots__ = ()

    # -- sockets -----------------------------------------------------------------------------------------------

    def socket(self, family: int, kind: int, proto: int = 0) -> Socket:
        """Return a new non-blocking socket, see socket(2).  Raises OSError (EMFILE, EAFNOSUPPORT, EPERM...)."""
        sock = socket.socket(family, kind, proto)
        sock.setblocking(False)
        return sock

    def socket_from_fd(self, fd: int) -> Socket:
        """Return a non-blocking socket that takes over *fd*; family and kind are read from it.  Raises OSError."""
        sock = socket.socket(fileno=fd)
        sock.setblocking(False)
        return sock

    def socket_of(self, fd: int, family: int, kind: int) -> Socket:
        """Return the socket that *fd* is, which does not block already, of the given *family* and *kind*."""
        # The flag is about the object alone, so that it knows; the kernel is not asked to change anything.
        return socket.socket(family, kind | getattr(socket, "SOCK_NONBLOCK", 0), 0, fd)

    def accept_from(self, listener: Socket) -> Callable[[], tuple[Socket, Any]]:
        """Return a function that does what ``listener.accept()`` does, see accept(2).

        That method asks its socket for family and kind each time, which costs a third of all that it does; here
        they are asked for once.
        """
        if type(listener) is not socket.socket:
            return listener.accept
        take = listener._accept  # type: ignore[attr-defined]
        family, kind, proto = int(listener.family), int(listener.type), listener.proto

        def accept() -> tuple[Socket, Any]:
            fd, address = take()
            return socket.socket(family, kind, proto, fd), address

        return accept

    def socketpair(self) -> tuple[Socket, Socket]:
        """Return two connected non-blocking sockets, see socketpair(2)."""
        left, right = socket.socketpair()
        left.setblocking(False)
        right.setblocking(False)
        return left, right

    def getaddrinfo(
        self, host: str | None, port: str | int | None, family: int, kind: int, proto: int, flags: int
    ) -> list[Any]:
        """Return what getaddrinfo(3) returns.  Blocks unless *flags* has AI_NUMERICHOST.  Raises gaierror."""
        return socket.getaddrinfo(host, port, family, kind, proto, flags)

    def interface_index(self, name: str) -> int:
        """Return the number of the network interface *name*, see if_nametoindex(3).  Raises OSError."""
        return socket.if_nametoindex(name)

    # -- descriptors -------------------------------------------------------------------------------------------

    def eventfd(self) -> int:
        """Return a new non-blocking eventfd(2) counter at zero."""
        return os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def eventfd_raise(self, fd: int) -> None:
        """Add one to the counter: *fd* becomes readable."""
        os.eventfd_write(fd, 1)

    def eventfd_clear(self, fd: int) -> None:
        """Set the counter back to zero: *fd* is readable no more.  Raises BlockingIOError if it was not."""
        os.eventfd_read(fd)

    def open_reserve(self) -> int:
        """Return a descriptor that stands for nothing: it is kept to be given up when there are no others."""
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    #: Read from a descriptor into buffers, see readv(2).  The C function itself, as that below.
    if hasattr(os, "readv"):
        readv = staticmethod(os.readv)

    #: Close a descriptor, see close(2).  The C function itself: it is called for every connection.
    close = staticmethod(os.close)

    def is_open(self, fd: int) -> bool:
        """Return True if *fd* is an open descriptor of this process, see fstat(2)."""
        try:
            os.fstat(fd)
        except OSError as exc:
            return exc.errno != errno.EBADF
        return True

    # -- files -------------------------------------------------------------------------------------------------

    def sendfile(self, out_fd: int, in_fd: int, offset: int, count: int) -> int:
        """Have the kernel send up to *count* bytes of *in_fd* from *offset* on; return how many it took, see
        sendfile(2).  Raises OSError, ENOSYS where there is no such call."""
        if not hasattr(os, "sendfile"):
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        return os.sendfile(out_fd, in_fd, offset, count)

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        """Return up to *size* bytes of *fd* from *offset* on, see pread(2).  Where there is no such call, the
        position of *fd* moves."""
        if hasattr(os, "pread"):
            return os.pread(fd, size, offset)
        os.lseek(fd, offset, os.SEEK_SET)
        return os.read(fd, size)

    # -- Unix socket paths -------------------------------------------------------------------------------------

    def is_socket_path(self, path: str | bytes) -> bool:
        """Return True if *path* exists and is a Unix socket, without following a link."""
        try:
            return stat.S_ISSOCK(os.lstat(path).st_mode)
        except (OSError, ValueError):
            return False

    def path_identity(self, path: str | bytes) -> tuple[int, int] | None:
        """Return (device, inode) of *path*, None where there is nothing."""
        try:
            found = os.lstat(path)
        except (OSError, ValueError):
            return None
        return found.st_dev, found.st_ino

    def chmod(self, path: str | bytes, mode: int) -> None:
        """Set the permission bits of *path*, see chmod(2)."""
        os.chmod(path, mode)

    def unlink(self, path: str | bytes) -> None:
        """Remove *path*, see unlink(2)."""
        os.unlink(path)

    # -- what the system tells about itself --------------------------------------------------------------------

    def read_file(self, path: str) -> bytes:
        """Return the contents of a small file, such as those of proc(5).  Raises OSError."""
        with open(path, "rb", buffering=0) as file:
            return file.read()

    def list_folder(self, path: str) -> list[str]:
        """Return the names in the folder *path*.  Raises OSError."""
        return os.listdir(path)

    def read_link(self, path: str) -> str:
        """Return what the symbolic link *path* points to, see readlink(2).  Raises OSError."""
        return os.readlink(path)

    # -- signals and threads -----------------------------------------------------------------------------------

    def set_signal(self, signum: int, handler: Any) -> Any:
        """Install *handler* and return the previous one.  Raises ValueError off the main thread."""
        import signal  # here, and below: it costs as much as a tenth of this package, and few programs need it

        return signal.signal(signum, handler)

    def set_wakeup_fd(self, fd: int) -> int:
        """Have the C-level signal handler write to *fd*; return the previous one, -1 for none."""
        import signal

        return signal.set_wakeup_fd(fd, warn_on_full_buffer=False)

    def restart_system_calls(self, signum: int) -> None:
        """Let *signum* not interrupt system calls of other code in this process, see siginterrupt(3)."""
        import signal

        signal.siginterrupt(signum, False)

    def is_main_thread(self) -> bool:
        """Return True if the caller is the main thread, in which alone Python runs the handlers of signals."""
        import threading

        return threading.main_thread().ident == get_ident()

    #: Return the number of the calling thread.  The C function itself: it is asked at every call.
    thread_id = staticmethod(get_ident)

    def start_thread(self, target: Callable[[], None], name: str) -> threading.Thread:
        """Start and return a daemon thread."""
        import threading  # likewise

        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        return thread

    def rlock(self) -> RLock:
        """Return a new lock that its holder may take again: a signal handler may interrupt the holder."""
        return RLock()

    def after_fork_in_child(self, callback: Callable[[], None]) -> None:
        """Call *callback* in every child that this process forks from now on, see os.register_at_fork."""
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=callback)
