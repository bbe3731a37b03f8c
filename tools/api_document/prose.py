"""Takes out of the source what it says about itself."""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def prose(docstring: str | None, *, whole_text: bool = False) -> str:
    """Return the first paragraph of a docstring, or all of it, as Markdown on one line."""
    told = inspect.cleandoc(docstring or "").replace("``", "`")
    return " ".join((told if whole_text else told.split("\n\n")[0]).split())


def fields(shape: type) -> Iterator[tuple[str, str]]:
    """Yield the fields of a class, those of its bases first, with the text below each."""
    for base in reversed([shape, *_bases(shape)]):
        [tree] = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        assert isinstance(tree, ast.ClassDef)  # noqa: S101 - that is what was asked for
        for one, following in zip(tree.body, tree.body[1:], strict=False):
            if isinstance(one, ast.AnnAssign) and isinstance(following, ast.Expr):
                assert isinstance(one.target, ast.Name)  # noqa: S101 - in a class body
                yield one.target.id, prose(ast.literal_eval(following.value), whole_text=True)


def _bases(shape: type) -> list[type]:
    # A TypedDict forgets its bases but for this.
    bases = getattr(shape, "__orig_bases__", shape.__bases__)
    ours = [one for one in bases if isinstance(one, type) and one.__module__ == shape.__module__]
    return [found for one in ours for found in (one, *_bases(one))]
