"""What each file, each public name and each class must have, whatever its size.

How long a file or a function may be is no rule here: a limit on lines once cut one object into four, and the faults
sat in the cuts.  What a machine can judge is whether a reader is told: a module opens with its idea, a public name
has a docstring.  And no object that may exist once for each connection carries a dictionary.

Read next: ``test_shape.py``, and ``reading.py``, for what a reader is promised.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.house.sources import dotted, imported_names, is_for_types, lines_for_types

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def silent_module(tree: ast.Module) -> list[str]:
    """Complain about a module that does not open with its idea, in three lines or more."""
    lines = len((ast.get_docstring(tree) or "").splitlines())
    if lines >= 3:
        return []
    return [f"the module docstring has {lines} lines: say the problem, the idea, and what to read next"]


def silent_c_file(text: str) -> list[str]:
    """Complain about a C file that does not open with a comment of three lines or more."""
    opening = re.match(r"\s*(/\*.*?\*/|(?://[^\n]*\n)+)", text, re.DOTALL)
    lines = len(opening.group(1).splitlines()) if opening else 0
    return [] if lines >= 3 else [f"the opening comment has {lines} lines: say what the file does and owns"]


def silent_names(tree: ast.Module) -> list[str]:
    """Complain about each public class, function and method without a docstring."""
    return [
        f"line {node.lineno}: {name} is public and has no docstring"
        for name, node in _public(tree.body)
        if ast.get_docstring(node) is None
    ]


def _public(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, Definition]]:
    """Yield the public definitions of a module and of its public classes; those inside functions are nobody's."""
    for node in body:
        if isinstance(node, Definition) and not node.name.startswith("_") and not _is_echo(node):
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef) and not _is_structural(node):
                yield from _public(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.If | ast.Try) and not (prefix and is_for_types(node)):
            # What a class says once more, for the type checker alone, is documented where it is done.
            yield from _public([*node.body, *node.orelse], prefix)


def _is_structural(node: ast.ClassDef) -> bool:
    """Return True if the class only describes what others must have: its members are documented where they are."""
    bases = [ast.unparse(base.value if isinstance(base, ast.Subscript) else base) for base in node.bases]
    return any(base in ("Protocol", "typing.Protocol") for base in bases) and all(
        isinstance(statement.body[-1], ast.Expr)
        for statement in node.body
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def _is_echo(node: Definition) -> bool:
    """Return True if the docstring belongs elsewhere: an overload, the setter of a property, a marked override."""
    marks = {
        decorator.attr if isinstance(decorator, ast.Attribute) else getattr(decorator, "id", "")
        for decorator in node.decorator_list
    }
    return bool(marks & {"overload", "setter", "deleter", "override"})


def slotless_classes(tree: ast.Module) -> list[str]:
    """Complain about each class whose objects carry a dictionary for lack of ``__slots__``."""
    names = imported_names(tree)
    for_types = lines_for_types(tree)
    return [
        f"line {node.lineno}: class {node.name} has no __slots__; an idle connection cannot afford a dictionary"
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        and not (_has_slots(node) or _needs_none(node, names) or node.lineno in for_types)
    ]


def _has_slots(node: ast.ClassDef) -> bool:
    targets = [target for statement in node.body for target in _targets(statement)]
    return any(isinstance(target, ast.Name) and target.id == "__slots__" for target in targets)


def _targets(statement: ast.stmt) -> list[ast.expr]:
    if isinstance(statement, ast.Assign):
        return statement.targets
    return [statement.target] if isinstance(statement, ast.AnnAssign) else []


def _needs_none(node: ast.ClassDef, names: dict[str, str]) -> bool:
    """Return True if a base sees to it: an exception, an enumeration, a named tuple, a structural type."""
    bases = [
        dotted(base.value if isinstance(base, ast.Subscript) else base, names) or getattr(base, "id", "")
        for base in node.bases
    ]
    return any(
        base != "typing.Generic"
        and (
            base.startswith(("typing.", "enum.", "reactor.errors."))
            or base.endswith(("Error", "Exception", "Warning"))
        )
        for base in bases
    )
