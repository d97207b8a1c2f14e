"""Servers and clients made of the floors below: what ``reactor serve`` and ``reactor call`` run, for programs
to use.

The named services are those that every text on sockets begins with: an echo, an upper-casing server, one that
greets. They are small, but they are whole: many clients at once, text cut anywhere by the network, empty
messages, killed clients, an orderly stop.  Nothing here prints or reads arguments; what happens is counted, and
told to whoever asks.

Read in this order: ``tally`` (what is counted), ``modes`` (where a message ends), ``catalog`` (the services, a
table), ``talk`` (one conversation, sans-IO), ``session`` (a conversation on a transport), ``server``, then
``client`` and ``datagram_client``.
"""

from __future__ import annotations

from reactor.service.catalog import SERVICES, Service
from reactor.service.client import Client
from reactor.service.datagram_client import DatagramClient
from reactor.service.modes import MODES, codec_for
from reactor.service.server import Server
from reactor.service.tally import Tally

__all__ = ["MODES", "SERVICES", "Client", "DatagramClient", "Server", "Service", "Tally", "codec_for"]
