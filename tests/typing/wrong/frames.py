"""Frames are bytes, in and out; a codec is an instance, made of what it can have."""

import reactor


class Shout(reactor.FramedProtocol):
    codec = reactor.LengthPrefixed(4)

    def frame_received(self, frame: bytes) -> None:
        self.send_frame(frame.decode())  # wrong: arg-type, reportArgumentType
        self.send_frame([frame])  # wrong: arg-type, reportArgumentType
        self.send_frames(frame)  # wrong: arg-type, reportArgumentType
        self.send_frames(["text"])  # wrong: list-item, reportArgumentType
        self.send_frames(frame, frame)  # wrong: call-arg, reportCallIssue
        self.transport.sendto(frame)  # wrong: attr-defined, reportAttributeAccessIssue


class TakesText(reactor.FramedProtocol):
    def frame_received(self, frame: str) -> None:  # wrong: override, reportIncompatibleMethodOverride
        print(frame.upper())


class TakesOne(reactor.FramedProtocol):
    def frames_received(self, frames: bytes) -> None:  # wrong: override, reportIncompatibleMethodOverride
        print(frames.upper())


class NamesTheCodec(reactor.FramedProtocol):
    codec = "length"  # wrong: assignment, reportAssignmentType


class ForgetsToMakeIt(reactor.FramedProtocol):
    codec = reactor.Lines  # wrong: assignment, reportAssignmentType


reactor.LengthPrefixed("varnt")  # wrong: arg-type, reportArgumentType
reactor.LengthPrefixed(4, byteorder="middle")  # wrong: arg-type, reportArgumentType
reactor.LengthPrefixed(4, endian="big")  # wrong: call-arg, reportCallIssue
reactor.LengthPrefixed(4, max_frame_length="1 MiB")  # wrong: arg-type, reportArgumentType
reactor.Delimited("\n")  # wrong: arg-type, reportArgumentType
reactor.Lines(ending="\n")  # wrong: arg-type, reportArgumentType
reactor.FixedSize("16")  # wrong: arg-type, reportArgumentType
reactor.Codec()  # wrong: abstract, reportAbstractUsage
reactor.Lines().feed("text")  # wrong: arg-type, reportArgumentType
reactor.Lines().fresh().ending()  # wrong: attr-defined, reportAttributeAccessIssue
text: str = reactor.Lines().encode(b"text")  # wrong: assignment, reportAssignmentType
