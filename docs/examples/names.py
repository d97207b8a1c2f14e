"""Every look-up of the socket module, asked at once; the loop goes on while the name service thinks.

    python names.py [NAME [ADDRESS]]

The answers come in the order in which they are found.  A name server that is silent does not stop the loop: each
question has 5 seconds.  It does keep the few threads that ask, so that others may wait for one in vain.
"""

import socket
import sys

import reactor

if "--help" in sys.argv:
    sys.exit(__doc__)
name = sys.argv[1] if sys.argv[1:] else "localhost"
address = sys.argv[2] if sys.argv[2:] else "127.0.0.1"


def show(question):
    def tell(answer):
        if isinstance(answer, Exception):
            kind = "herror" if isinstance(answer, socket.herror) else "gaierror"
            kind = kind if isinstance(answer, socket.herror | socket.gaierror) else type(answer).__name__
            answer = f"{kind}: {answer}"
        print(f"{question}: {answer}", flush=True)
        open_questions.discard(question)

    open_questions.add(question)
    return {"callback": tell, "timeout": 5}


open_questions = set()

with reactor.Reactor() as loop:
    ask = loop.resolver
    ask.hosts["db.example"] = ["10.0.0.7", "fd00::7"]  # an /etc/hosts of the program's own
    ask.hosts["ads.example"] = []  # whoever asks, it has no address

    ask.gethostbyname(name, **show("gethostbyname"))
    ask.gethostbyname_ex(name, **show("gethostbyname_ex"))
    ask.gethostbyaddr(address, **show("gethostbyaddr"))
    ask.getfqdn(address, **show("getfqdn"))
    ask.getaddrinfo(name, 80, type=socket.SOCK_STREAM, **show("getaddrinfo"))
    ask.getnameinfo((address, 80), **show("getnameinfo"))
    ask.getservbyname("http", "tcp", **show("getservbyname"))
    ask.getservbyport(53, "udp", **show("getservbyport"))
    ask.getprotobyname("icmp", **show("getprotobyname"))
    ask.gethostbyname_ex("db.example", **show("our own table"))
    ask.gethostbyname("ads.example", **show("a name without address"))
    ask.gethostbyaddr("no such name.invalid", **show("a name that is none"))
    loop.run_until(lambda: not open_questions)

    ask.gethostbyname(name, **show("asked again"))  # remembered: nobody is asked
    loop.run_until(lambda: not open_questions)
    print("remembered answers:", len(ask.cache), "used:", ask.cache.hits)
