"""The tests mirror ``reactor/``; ``contract/`` runs one suite for all implementations, ``house/`` guards the rules.

Only this folder has an ``__init__.py``.  pytest imports each test file under its path (``importmode=importlib``),
so two files may share a name; a module that several tests need is imported by its path too, as in
``from tests.leaks import Snapshot``.
"""
