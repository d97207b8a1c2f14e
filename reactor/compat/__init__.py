"""Drop-ins for modules of the standard library, on the reactor: what was written for them runs as it is.

A program changes one import; underneath, the reactor waits instead of a loop of the module's own.  Each file that is
named after a module stands for it, with its names, its arguments and its hooks.  What its model does wrong is done
right, and the file says where.  Read in the order of ``tests/house/staircase.py``.

Nothing is imported here: each module is taken by its own name, such as ``reactor.compat.socketserver``.
"""
