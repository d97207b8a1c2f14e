"""What a verb returns is known, and so is what comes out of it."""

from concurrent.futures import Future

import reactor


class Ask(reactor.FramedProtocol):
    codec = reactor.LengthPrefixed(4)
    answer: bytes | None = None


class Messages(reactor.MessageProtocol):
    pass


def takes_one(number: int) -> bool:
    return number > 0


def program(loop: reactor.Reactor, future: Future[int]) -> None:
    listener = loop.listen_tcp(Ask)
    print(listener.adress)  # wrong: attr-defined, reportAttributeAccessIssue
    print(listener.address.port)  # wrong: attr-defined, reportAttributeAccessIssue
    print(listener.addresses[0].port)  # wrong: attr-defined, reportAttributeAccessIssue
    listener.max_connections = "many"  # wrong: assignment, reportAttributeAccessIssue
    host: int = listener.addresses[0][0]  # wrong: assignment, reportAssignmentType
    path = loop.listen_unix(Ask, "/run/ask").addresses[0]
    path.append("x")  # wrong: union-attr, reportAttributeAccessIssue

    connector = loop.connect_tcp(Ask, "127.0.0.1", 80)
    connector.write(b"hello")  # wrong: attr-defined, reportAttributeAccessIssue
    connector.stream.write(b"hello")  # wrong: union-attr, reportOptionalMemberAccess
    print(connector.protocol.question)  # wrong: attr-defined, reportAttributeAccessIssue
    connector.protocol.answer.decode()  # wrong: union-attr, reportOptionalMemberAccess
    messages = loop.connect_unix(Messages, "@messages", seqpacket=True)
    if messages.stream is not None:
        messages.stream.write(b"")  # wrong: attr-defined, reportAttributeAccessIssue

    number: str = loop.run_until(future)  # wrong: arg-type, reportAssignmentType
    loop.run_until(future).upper()  # wrong: union-attr, reportAttributeAccessIssue
    loop.resolver.getfqdn("localhost").result().append("x")  # wrong: attr-defined, reportAttributeAccessIssue
    loop.run_until(3)  # wrong: arg-type, reportArgumentType
    loop.run_until(future.done())  # wrong: arg-type, reportArgumentType
    loop.run_until(takes_one)  # wrong: arg-type, reportArgumentType
    loop.run_until(future, timeout="5 s")  # wrong: arg-type, reportArgumentType
    loop.run_once("5 s")  # wrong: arg-type, reportArgumentType
    print(host, number)
