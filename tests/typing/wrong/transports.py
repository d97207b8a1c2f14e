"""A protocol knows what its transport is, and what it is told."""

import reactor
from reactor import DatagramEndpoint as Endpoint


class Bytes(reactor.Protocol):
    def connection_made(self, transport: reactor.Stream) -> None:
        super().connection_made(transport)
        transport.sendto(b"hello")  # wrong: attr-defined, reportAttributeAccessIssue
        transport.write("hello")  # wrong: arg-type, reportArgumentType
        transport.set_idle_timeout("5 s")  # wrong: arg-type, reportArgumentType
        transport.set_write_buffer_limits(hi=1)  # wrong: call-arg, reportCallIssue
        transport.set_protocol(Bytes)  # wrong: arg-type, reportArgumentType

    def data_received(self, data: bytes) -> None:
        self.transport.send(data)  # wrong: attr-defined, reportAttributeAccessIssue
        self.transport.write(data.decode())  # wrong: arg-type, reportArgumentType
        self.transport.writelines(data)  # wrong: arg-type, reportArgumentType
        self.transport.write(len(data))  # wrong: arg-type, reportArgumentType
        self.transport.flush()  # wrong: attr-defined, reportAttributeAccessIssue
        self.transport.close(True)  # wrong: call-arg, reportCallIssue
        self.transport.send_file(data)  # wrong: arg-type, reportArgumentType
        self.transport.send_file(0, on_done=self.transport.close)  # wrong: arg-type, reportArgumentType
        self.transprot.close()  # wrong: attr-defined, reportAttributeAccessIssue


class TakesText(reactor.Protocol):
    def data_received(self, data: str) -> None:  # wrong: override, reportIncompatibleMethodOverride
        print(data.upper())


class TakesAnEndpoint(reactor.Protocol):
    def connection_made(self, transport: Endpoint) -> None:  # wrong: override, reportIncompatibleMethodOverride
        transport.sendto(b"")


class TakesNoReason(reactor.Protocol):
    def connection_lost(self) -> None:  # wrong: override, reportIncompatibleMethodOverride
        print("lost")


class Messages(reactor.MessageProtocol):
    def message_received(self, data: bytes) -> None:
        self.transport.write(data)  # wrong: attr-defined, reportAttributeAccessIssue
        self.transport.send_message(data.decode())  # wrong: arg-type, reportArgumentType


class Datagrams(reactor.DatagramProtocol):
    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self.transport.write(data)  # wrong: attr-defined, reportAttributeAccessIssue
        self.transport.sendto(data.decode(), address)  # wrong: arg-type, reportArgumentType
        self.transport.sendto(data, 9)  # wrong: arg-type, reportArgumentType
        self.transport.sendto(address, data)  # wrong: arg-type, reportArgumentType


class NoAddress(reactor.DatagramProtocol):
    def datagram_received(self, data: bytes) -> None:  # wrong: override, reportIncompatibleMethodOverride
        print(data)
