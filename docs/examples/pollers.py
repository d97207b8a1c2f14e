"""The pollers of this system, and the same thousand connections on each of those that can have so many.

    python pollers.py

select(2) reads a list of all descriptors at each call, and none above 1,023; poll(2) reads the list too, but it may
be long; epoll(7) and kqueue(2) keep the list in the kernel.
"""

import resource
import socket

import reactor

COUNT = 1000
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard < 2200 else 2200, hard))  # two for each, and some


class Upper(reactor.Protocol):
    def data_received(self, data):
        self.transport.write(data.upper())


print("here are:", *reactor.available_pollers(), flush=True)
for name in reactor.available_pollers():
    with reactor.Reactor(name) as loop:
        mine, yours = [], []
        try:
            for _ in range(COUNT):
                one, other = socket.socketpair()
                mine.append(one)
                yours.append(loop.adopt_stream(Upper, other))
            mine[-1].sendall("你好, the last of you".encode())
            mine[-1].setblocking(False)
            loop.add_reader(mine[-1], loop.stop)
            loop.run()
            print(f"{name}: {len(yours)} connections, {mine[-1].recv(100).decode()}", flush=True)
        except (reactor.ReactorError, OSError) as exc:
            print(f"{name}: {len(yours)} connections, then: {exc}", flush=True)
        finally:
            for sock in mine:
                sock.close()
