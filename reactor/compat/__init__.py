"""Drop-ins for modules of the standard library, on the reactor: what was written for them runs as it is.

Each file is named after the module that it stands for, and has its names, its arguments and its hooks.  What its
model does wrong is done right, and the file says where.  Read in the order of ``tests/house/staircase.py``.
"""
