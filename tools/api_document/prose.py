"""Reads the descriptions in the source: docstrings, and the texts below fields and constants."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator, Sequence
from itertools import pairwise
from types import ModuleType


def prose(docstring: str | None, *, whole_text: bool = False) -> str:
    """Return the first paragraph of a docstring, or all of it, as Markdown on one line."""
    text = inspect.cleandoc(docstring or "").replace("``", "`")
    return " ".join((text if whole_text else text.split("\n\n")[0]).split())


def third_person(sentence: str) -> str:
    """Turn an imperative sentence into the third person: "Return …" into "Returns …"."""
    verb, space, rest = sentence.partition(" ")
    return f"{verb}s{space}{rest}"


def fields(shape: type) -> Iterator[tuple[str, str]]:
    """Yield the fields of a class, those of its bases first, with the text below each."""
    for base in reversed([shape, *_bases(shape)]):
        [tree] = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        assert isinstance(tree, ast.ClassDef)  # noqa: S101 - getsource returned a class
        yield from _described(tree.body)


def constants(module: ModuleType) -> dict[str, str]:
    """Return the constants of a module that have a text below them."""
    return dict(_described(ast.parse(inspect.getsource(module)).body))


def _described(body: Sequence[ast.stmt]) -> Iterator[tuple[str, str]]:
    for statement, following in pairwise(body):
        match statement, following:
            case (
                ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                yield name, prose(text, whole_text=True)


def _bases(shape: type) -> list[type]:
    # A TypedDict keeps its bases only in __orig_bases__.
    bases = getattr(shape, "__orig_bases__", shape.__bases__)
    ours = [
        base for base in bases if isinstance(base, type) and base.__module__ == shape.__module__
    ]
    return [found for base in ours for found in (base, *_bases(base))]
