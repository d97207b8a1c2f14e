"""Servers and clients made of the floors below: what ``reactor serve`` and ``reactor call`` run, for programs
to use.

The named services are those that every text on sockets begins with: an echo, an upper-casing server, one that
greets. They are small, but they are whole: many clients at once, text cut anywhere by the network, empty
messages, killed clients, an orderly stop.  Nothing here prints or reads arguments; what happens is counted, and
told to whoever asks.

Read in this order: ``counters`` (what is counted), ``modes`` (where a message ends), ``peer_identity``,
``key_file`` and ``gate`` (who may talk at all), ``json_answers`` and ``catalog`` (the services, a table), ``talk``
(one conversation, sans-IO), ``session`` (a conversation on a transport), ``server``, then ``exchange``, ``client``
and ``datagram_client``.  How a server comes by sockets that others have opened: ``activation``, ``passing``,
``handover``.

Keeping and sending files is a book of its own, ``upload``, and is not loaded with the rest; ``workers`` does for it
what blocks.
"""

from __future__ import annotations

from reactor.service.activation import Inherited, inetd_socket, inherited_sockets, start_with_sockets
from reactor.service.catalog import SERVICES, Service
from reactor.service.client import Client
from reactor.service.counters import ServerCounters
from reactor.service.datagram_client import DatagramClient
from reactor.service.gate import ClientGate, ServerGate
from reactor.service.handover import HandoverPoint, take_over
from reactor.service.key_file import read_keys, write_key
from reactor.service.modes import MODES, codec_for
from reactor.service.passing import receive_descriptors, send_descriptors
from reactor.service.server import Server

__all__ = [
    "MODES", "SERVICES", "Client", "ClientGate", "DatagramClient", "HandoverPoint", "Inherited", "Server",
    "ServerGate", "Service", "ServerCounters", "codec_for", "inetd_socket", "inherited_sockets", "read_keys",
    "receive_descriptors", "send_descriptors", "start_with_sockets", "take_over", "write_key",
]  # fmt: skip
