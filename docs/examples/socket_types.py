"""The types of sockets: a stream, datagrams, messages in order, and any other by what every socket has, readiness.

    python socket_types.py

Three of them have protocols here.  A raw socket is watched with ``add_reader``; it needs a privilege (CAP_NET_RAW).
"""

import socket
import struct

import reactor

heard = []


class Stream(reactor.Protocol):
    def data_received(self, data):
        heard.append(data)


class Datagrams(reactor.DatagramProtocol):
    def datagram_received(self, data, address):
        heard.append(data)


class Messages(reactor.MessageProtocol):
    def message_received(self, data):
        heard.append(data)


def try_type(kind, adopt, protocol):
    mine, yours = socket.socketpair(socket.AF_UNIX, kind)
    end = adopt(protocol, mine)
    with yours:
        for message in (b"one", b"", b"three"):
            yours.send(message)
        loop.run_until(lambda: sum(map(len, heard)) == 8, timeout=5)
    print(f"{kind.name}: {heard}")  # a stream has neither boundaries nor empty messages
    heard.clear()
    end.abort()


def ping(sock):  # RFC 792; the header of IP, 20 bytes, comes before the reply
    loop.add_reader(sock, lambda: heard.append(sock.recv(2048)[20:]))
    sock.sendto(struct.pack("!BBHHH", 8, 0, 0xF5F9, 0x0205, 1), ("127.0.0.1", 0))
    loop.run_until(lambda: struct.pack("!BBHHH", 0, 0, 0xFDF9, 0x0205, 1) in heard, timeout=5)
    loop.remove_reader(sock)


with reactor.Reactor() as loop:
    try_type(socket.SOCK_STREAM, loop.adopt_stream, Stream)
    try_type(socket.SOCK_DGRAM, loop.adopt_datagram, Datagrams)
    try_type(socket.SOCK_SEQPACKET, loop.adopt_seqpacket, Messages)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
            raw.setblocking(False)
            ping(raw)
        print("SOCK_RAW: an echo reply from 127.0.0.1")
    except PermissionError as exc:
        print("SOCK_RAW:", exc)
