"""Addresses as people write them, there and back."""

from __future__ import annotations

import os
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.errors import AddressError
from reactor.net.sockets.addresses import (
    SUN_PATH_SIZE,
    checked_host,
    checked_port,
    checked_unix_path,
    compact_address,
    expanded_address,
    format_address,
    is_abstract,
    numeric_family,
    parse_address,
)

PORTS = st.integers(0, 65535)
NUMBERS = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (("127.0.0.1", 80), "127.0.0.1:80"),
        (("example.org", 80), "example.org:80"),
        (("::1", 80, 0, 0), "[::1]:80"),
        (("fe80::1", 80, 0, 2), "[fe80::1%2]:80"),
        (("fe80::1%eth0", 80, 0, 2), "[fe80::1%eth0]:80"),
        (("::1", 80), "[::1]:80"),
        (("", 80), ":80"),
        ("/run/app.sock", "unix:/run/app.sock"),
        (b"/run/app.sock", "unix:/run/app.sock"),
        (b"\0name", "unix:@name"),
        ("\0na\0me", "unix:@na@me"),
        ("", "unnamed"),
        (None, "unnamed"),
        (17, "17"),
        ((3, 1024), "(3, 1024)"),
    ],
)
def test_an_address_of_any_family_is_written_as_people_write_it(address: Any, text: str) -> None:
    """Brackets around IPv6, a zone where there is a scope, an @ for abstract names; the rest is its repr."""
    assert format_address(address) == text


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (b"\0a\n12:00 WARNING all is well\x1b[2J", r"unix:@a\n12:00 WARNING all is well\x1b[2J"),
        ("/run/\u202egnp.exe", r"unix:/run/\u202egnp.exe"),
        (b"/run/\xff", r"unix:/run/\udcff"),
        (("host\r\n", 80), r"host\r\n:80"),
        (("fe80::1%\n", 80, 0, 2), r"[fe80::1%\n]:80"),
    ],
)
def test_an_address_stays_in_its_line_whatever_a_peer_has_bound_to(address: Any, text: str) -> None:
    """The path of a Unix socket is any bytes that its owner likes: a line of a log for instance."""
    assert format_address(address) == text


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("example.org:0", ("example.org", 0)),
        ("[::1]:80", ("::1", 80)),
        ("[fe80::1%eth0]:65535", ("fe80::1%eth0", 65535)),
        (":8080", ("", 8080)),
        ("unix:/run/app.sock", "/run/app.sock"),
        ("unix:app.sock", "app.sock"),
        ("unix:@name", "\0name"),
    ],
)
def test_a_text_is_understood_and_gives_itself_when_written_again(text: str, address: Any) -> None:
    """Parsing is the way back from formatting."""
    assert parse_address(text) == address
    assert format_address(address) == text


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no port"),
        ("80", "no port"),
        ("example.org", "no port"),
        ("[::1]", "no port"),
        ("::1:80", "brackets"),
        ("[example.org]:80", "not an IPv6 address"),
        ("a:", "decimal number"),
        ("a:-1", "decimal number"),
        ("a:+1", "decimal number"),
        ("a: 1", "decimal number"),
        ("a:1_0", "decimal number"),
        ("a:0x50", "decimal number"),
        ("a:\u0663", "decimal number"),
        ("a:\u00b2", "decimal number"),
        ("a:000080", "decimal number"),
        ("a:65536", "65535"),
        ("a b:80", "no host name has"),
        ("a\0b:80", "no host name has"),
        ("http://a:80", "ambiguous"),
        ("a/b:80", "no host name has"),
        ("a\x80b:80", "no host name has"),
        ("unix:", "names no path"),
        ("unix:@", "names no path"),
        ("unix:/a\0b", "NUL"),
        (80, "is text"),
    ],
)
def test_a_text_that_is_no_address_is_refused_with_what_is_wrong(text: Any, complaint: str) -> None:
    """The error names the fault, not merely the text."""
    with pytest.raises(AddressError, match=complaint):
        parse_address(text)


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_an_address_error(text: str) -> None:
    """No input makes the parser raise anything else, and what it accepts survives the way there and back, but for
    a path that cannot be shown as it is."""
    try:
        address = parse_address(text)
    except AddressError:
        return
    if isinstance(address, tuple) or text.isprintable():
        assert parse_address(format_address(address)) == address


@pytest.mark.parametrize("port", [0, 1, 65535])
def test_a_port_is_returned_when_it_is_one(port: int) -> None:
    """The bounds belong to the range."""
    assert checked_port(port) == port


@pytest.mark.parametrize("port", [-1, 65536, "80", 80.0, None, True])
def test_a_port_is_refused_when_it_is_no_int_in_range(port: Any) -> None:
    """Digits in a string and booleans are no ports, although they could be taken for some."""
    with pytest.raises(AddressError, match="65535"):
        checked_port(port)


@pytest.mark.parametrize("host", ["", "a\0.example.org", None, b"localhost"])
def test_a_host_is_refused_when_the_system_would_read_another_one(host: Any) -> None:
    """A NUL byte would end the name in C, and a name that was checked is not the one that is looked up."""
    with pytest.raises(AddressError):
        checked_host(host)


@pytest.mark.parametrize(
    ("host", "family"),
    [
        ("127.0.0.1", socket.AF_INET),
        ("::1", socket.AF_INET6),
        ("fe80::1%eth0", socket.AF_INET6),
        ("::ffff:127.0.0.1", socket.AF_INET6),
        ("127.1", 0),
        ("0x7f.0.0.1", 0),
        ("127.0.0.1%lo", 0),
        ("localhost", 0),
        ("", 0),
        ("1.2.3.4\0", 0),
        ("a:b", 0),
    ],
)
def test_only_a_strictly_numeric_host_has_a_family(host: str, family: int) -> None:
    """The abbreviations that inet_aton(3) understands are names here: they need the resolver."""
    assert numeric_family(host) == family


@pytest.mark.parametrize(
    ("path", "checked"),
    [
        ("/run/x", "/run/x"),
        (b"/run/x", b"/run/x"),
        ("@name", b"\0name"),
        ("\0name", b"\0name"),
        (b"\0na\0me", b"\0na\0me"),
        ("./@name", "./@name"),
    ],
)
def test_a_unix_path_is_given_in_the_form_that_the_system_wants(path: Any, checked: Any) -> None:
    """Only abstract names change: their @ becomes the NUL byte that it stands for."""
    assert checked_unix_path(path) == checked


@pytest.mark.parametrize("path", ["", "@", b"\0", "/a\0b"])
def test_a_unix_path_is_refused_when_it_names_nothing_or_has_a_nul(path: Any) -> None:
    """Nothing is bound to a path that the kernel would cut."""
    with pytest.raises(AddressError):
        checked_unix_path(path)


@pytest.mark.parametrize("first", ["/", "@"])
def test_a_unix_path_is_refused_from_the_first_byte_too_many(first: str) -> None:
    """A path needs a byte for its NUL, an abstract name does not; bytes count, not letters."""
    longest = SUN_PATH_SIZE - 1 - (first == "/")
    assert os.fsencode(checked_unix_path(first + "x" * longest))
    with pytest.raises(AddressError, match=f"{longest + 2} bytes"):
        checked_unix_path(first + "x" * (longest + 1))
    with pytest.raises(AddressError, match="bytes"):
        checked_unix_path(first + "\u00e9" * longest)


def test_an_abstract_name_is_known_in_each_of_its_spellings() -> None:
    """As a user writes it and as the system wants it."""
    assert all(map(is_abstract, ("@x", "\0x", b"@x", b"\0x")))
    assert not any(map(is_abstract, ("", "x@", "/x", b"/x", "./@x")))


@given(st.ip_addresses(v=4).map(str), PORTS)
def test_an_ipv4_address_is_the_same_when_it_was_compact_meanwhile(host: str, port: int) -> None:
    """Every address and port, zeros included."""
    compact = compact_address((host, port))
    assert isinstance(compact, int)
    assert expanded_address(compact) == (host, port)


@given(st.ip_addresses(v=6), PORTS, NUMBERS, NUMBERS)
def test_an_ipv6_address_is_the_same_when_it_was_compact_meanwhile(
    host: Any, port: int, flow: int, scope: int
) -> None:
    """Flow and scope are kept too; the host comes back as the system writes it."""
    text = socket.inet_ntop(socket.AF_INET6, host.packed)
    assert expanded_address(compact_address((text, port, flow, scope))) == (text, port, flow, scope)


@pytest.mark.parametrize(
    "address", [None, "", "/run/x", b"\0name", ("name", 1), ("::1", 80), ("1.2.3.4", -1), ("fe80::1%lo", 1, 0, 0)]
)
def test_an_address_that_cannot_be_made_compact_is_kept_as_it_is(address: Any) -> None:
    """Unix paths, names, and shapes that the system does not return."""
    assert compact_address(address) == address
    assert expanded_address(address) == address
