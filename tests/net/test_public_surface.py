"""What a program may call: each public name of the classes that it meets, and nothing else.

A name that is added here is a promise.  What the parts of the reactor call of each other begins with an underscore.
"""

from __future__ import annotations

import pytest

import reactor
from reactor.net.connections.acceptor import Acceptor
from reactor.net.connections.connector import Connector

#: What every transport has, whatever it carries.
TRANSPORT = """
    abort can_write_eof close fail fileno get_extra_info get_protocol get_write_buffer_limits get_write_buffer_size
    is_closing is_reading note_progress pause_reading reset resume_reading set_extra_info set_idle_timeout
    set_protocol set_write_buffer_limits write_eof
"""

#: What every protocol may be told.
TOLD = "connection_failed connection_lost connection_made pause_writing resume_writing transport"

LOOP = """
    add_reader add_signal_handler add_writer call_at call_at_turn_end call_every call_inside call_later call_soon
    call_soon_threadsafe check clock close counters engine fileno is_closed is_running next_timeout ops owner
    registry remove_reader remove_signal_handler remove_writer reopen reports run run_once run_until selector_name
    set_exception_handler set_probe stop thread_id time
"""

SURFACES: dict[type, str] = {
    reactor.Stream: TRANSPORT + "send_file take_in write writelines",
    reactor.MessageStream: TRANSPORT + "send_message",
    reactor.DatagramEndpoint: TRANSPORT + "forget_path join_group leave_group sendto set_multicast",
    reactor.Listener: """
        abort accepted address addresses close connections forget_path is_accepting is_closing max_connections pause
        resume sockets
    """,
    Connector: "abort attempts cancel close is_done protocol state stream",
    Acceptor: "close is_accepting pause resume",
    reactor.FileSending: "cancel count done error file is_cancelled result sent",
    reactor.Deadline: "is_running start stop what",
    reactor.Handle: "args callback cancel is_cancelled",
    reactor.Timer: "args callback cancel interval is_cancelled postpone reschedule when",
    reactor.Protocol: TOLD + " data_received eof_received",
    reactor.FramedProtocol: TOLD + """
        data_received eof_received fault_received frame_received frames_received send_frame send_frames
    """,
    reactor.DatagramProtocol: TOLD + " datagram_received error_received",
    reactor.MessageProtocol: TOLD + " eof_received max_message_size message_received",
    reactor.Loop: LOOP,
    reactor.Reactor: LOOP + """
        add_acceptor adopt_datagram adopt_listener adopt_seqpacket adopt_stream connect_tcp connect_unix listen_tcp
        listen_unix open_datagram resolver slow_callback_duration
    """,
}  # fmt: skip


@pytest.mark.parametrize("cls", SURFACES, ids=lambda cls: cls.__name__)
def test_a_class_shows_what_a_program_may_call_and_nothing_else(cls: type) -> None:
    """Its public names, its annotated attributes among them, are those of the table."""
    shown = {name for name in dir(cls) if not name.startswith("_")}
    assert sorted(shown) == sorted(set(SURFACES[cls].split()))


def test_an_instance_shows_no_more_than_its_class() -> None:
    """Every attribute that an instance may have is a slot, so the table above has seen it."""
    for cls in SURFACES:
        assert all("__slots__" in base.__dict__ for base in cls.__mro__[:-1] if base.__module__ != "abc"), cls
