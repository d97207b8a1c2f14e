"""The pollers: one file per kernel mechanism, all with the same few methods.

Open ``by_select``, ``by_poll`` and ``by_epoll`` side by side: what differs between them is what differs between the
three system calls.  ``contract`` says what each owes; ``choose`` picks one by name.
"""
