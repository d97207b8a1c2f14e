"""What is cut and what is encoded are two types, and a protocol's are those of its codec."""

import reactor

Command = list[bytes]


class Numbers(reactor.Codec[int, int]):
    def next_frame(self, data: bytes, at: int) -> tuple[int, int] | None:
        return data[at], at + 1

    def encode(self, payload: int) -> bytes:
        return bytes([payload])


class CutsText(reactor.Codec[int, int]):
    def next_frame(self, data: bytes, at: int) -> str:  # wrong: override, reportIncompatibleMethodOverride
        return data[at:].decode()

    def encode(self, payload: str) -> bytes:  # wrong: override, reportIncompatibleMethodOverride
        return payload.encode()


class OfAnother(reactor.FramedProtocol[Command, int]):
    codec = Numbers()  # wrong: assignment, reportAssignmentType


class Sums(reactor.FramedProtocol[int, int]):
    codec = Numbers()

    def frame_received(self, number: int) -> None:
        self.send_frame(number + 1)
        self.send_frame(b"1")  # wrong: arg-type, reportArgumentType
        self.send_frames([1, "2"])  # wrong: list-item, reportArgumentType

    def fault_received(self, fault: bytes) -> None:  # wrong: override, reportIncompatibleMethodOverride
        print(fault)


class TakesBytes(reactor.FramedProtocol[int, int]):
    codec = Numbers()

    def frame_received(self, frame: bytes) -> None:  # wrong: override, reportIncompatibleMethodOverride
        print(frame)


Numbers().encode(b"1")  # wrong: arg-type, reportArgumentType
text: str = Numbers().feed(b"1")[0]  # wrong: assignment, reportAssignmentType
