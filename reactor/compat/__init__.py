"""Drop-ins for modules of the standard library, on the reactor: what was written for them runs as it is.

A program changes one import; underneath, the reactor waits instead of a loop of the module's own.  Each file that
is named after a module stands for it, with its names, its arguments and its hooks; the folders are what they are
made of.  What a model does wrong is done right, and the file says where.

Nothing is imported here: each module is taken by its own name, such as ``reactor.compat.socketserver``.
"""
