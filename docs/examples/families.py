"""One server for the three families of addresses, a greeting to all of the machines of a network, one to a group.

    python families.py

IPv4 addresses are pairs, IPv6 ones have a flow label and a zone besides, Unix ones are paths.  The host "" means
every interface, of both Internet families on one socket; "<broadcast>" is everybody.
"""

import os
import tempfile

import reactor

GROUP = "239.255.66.66"


class Peer(reactor.Protocol):
    def connection_made(self, transport):
        print("from", transport.get_extra_info("peername") or "a Unix socket", flush=True)
        transport.close()


class Ear(reactor.DatagramProtocol):
    def datagram_received(self, data, address):
        print(data.decode(), flush=True)


def accepted(count):
    return lambda: sum(listener.accepted for listener in (everywhere, here)) == count


with reactor.Reactor() as loop, tempfile.TemporaryDirectory() as folder:
    everywhere = loop.listen_tcp(Peer, "")
    here = loop.listen_unix(Peer, os.path.join(folder, "socket"))
    port = everywhere.address[1]
    loop.connect_tcp(reactor.Protocol, "127.0.0.1", port)
    loop.run_until(accepted(1), 5)
    loop.connect_tcp(reactor.Protocol, "::1", port)
    loop.run_until(accepted(2), 5)
    loop.connect_unix(reactor.Protocol, here.address)
    loop.run_until(accepted(3), 5)

    ear = loop.open_datagram(Ear, local=("", 0))
    port = ear.get_extra_info("sockname")[1]
    ear.join_group(GROUP, "127.0.0.1")
    mouth = loop.open_datagram(reactor.DatagramProtocol, local=("127.0.0.1", 0), broadcast=True)
    mouth.set_multicast(interface="127.0.0.1", loop=True)
    mouth.sendto("大家好".encode(), (GROUP, port))
    mouth.sendto("你们好".encode(), ("<broadcast>", port))
    loop.call_later(0.2, loop.stop)  # nobody can know whether a broadcast will come
    loop.run()
