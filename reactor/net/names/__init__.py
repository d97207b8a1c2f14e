"""Names of machines and services: what is asked about them, what is known already, and why there is no answer.

Read in this order: ``cache`` and ``host_table`` (what needs no question), ``failures``, ``requests`` (the functions
of the ``socket`` module), ``lookup`` (one answer to one who asks).  ``reactor.net.names.resolver`` has them asked.
"""
