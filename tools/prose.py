"""Check the words of documents, docstrings, comments and help texts: `make prose`.

proselint runs our rules (tools/prose.yaml) and some of its rules. It knows neither Markdown nor
Python, so everything that is not prose is blanked first; lines and columns stay as they are.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import PurePath

import yaml
from proselint.checks import __register__ as built_in
from proselint.registry import CheckRegistry
from proselint.registry.checks import Check, CheckFlags, types
from proselint.registry.checks.engine import Fancy, RegexOptions
from proselint.tools import LintFile

from tools.paths import ROOT

VOCABULARY = yaml.safe_load((ROOT / "tools" / "prose.yaml").read_text())

MARKUP = re.compile(
    r"^ *(?P<fence>```|~~~).*?^ *(?P=fence)$|(?P<ticks>`+).+?(?P=ticks)|<!--.*?-->|\]\([^)]*\)"
    r"|https?://\S+|^<[^>]+>",
    re.DOTALL | re.MULTILINE,
)
"""Parts of Markdown that are not prose: code, comments and addresses."""

COMMENT = re.compile(r"(?<!\S)#.*")

TEXTS = {
    ".json": re.compile(r'"(?:description|summary)": "(?:[^"\\]|\\.)*"'),
    ".yaml": re.compile(
        r"(?<!\S)#.*"
        r"|Description: (?:>-\n(?P<in> +)\S.*\n(?:(?P=in)\S.*\n)*|\"(?:[^\"\\]|\\.)*\"|.*)"
    ),
}
"""Suffix → the prose of a file that has more than comments."""

LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.INDENT, tokenize.DEDENT}

RULES = tuple(
    Check(
        check_type=types.ExistenceSimple(rule["match"]),
        engine=Fancy(RegexOptions(case_insensitive=False, multi_line=True)),
        path=rule["name"],
        message=f'"{{}}": write {rule["write"]}. {rule["why"]}',
        flags=CheckFlags(allow_quotes=True),
    )
    for rule in VOCABULARY["rules"]
)
CheckRegistry().register_many((*RULES, *built_in))
NAMES = [*(rule.path for rule in RULES), *VOCABULARY["built_in"]]
SETTINGS = {"checks": dict.fromkeys(NAMES, True), "max_errors": sys.maxsize}


def blank(text: str) -> str:
    """Return spaces of the same length, on the same lines."""
    return re.sub(r"\S", " ", text)


def python_texts(source: str) -> Iterator[tuple[int, int]]:
    """Find the comments, and the docstrings: statements that are one string."""
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    new_statement = True
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        first, last = (starts[row - 1] + column for row, column in (token.start, token.end))
        if token.type == tokenize.COMMENT:
            yield first + 1, last
        elif new_statement and token.string.startswith('"""'):
            yield first + 3, last - 3
        if token.type not in LAYOUT:
            new_statement = token.type == tokenize.NEWLINE


def prose(name: str, text: str) -> str:
    """Return a file's text with everything but its prose blanked."""
    suffix = PurePath(name).suffix
    if suffix != ".md":
        found = TEXTS.get(suffix, COMMENT).finditer(text)
        spans = python_texts(text) if suffix == ".py" else (each.span() for each in found)
        kept, end = "", 0
        for first, last in spans:
            kept, end = kept + blank(text[end:first]) + text[first:last], last
        text = (kept + blank(text[end:])).replace("#", " ")
    return MARKUP.sub(lambda markup: blank(markup.group()), text)


def findings(name: str, text: str) -> list[str]:
    """Return a line per finding: the place, the rule, the words, and what to write instead."""
    return [
        f"{name}:{line}: {result.check_path}: {' '.join(result.message.split())}"
        for result, (line, _) in LintFile(name, prose(name, text)).lint(SETTINGS)
    ]


def main() -> int:
    """Check every file that is committed or could be."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--"]
    command += [*VOCABULARY["files"], *(f":!{each}" for each in VOCABULARY["without"])]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = [name for name in listed.split("\0") if (ROOT / name).is_file()]
    found = [line for name in names for line in findings(name, (ROOT / name).read_text())]
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
