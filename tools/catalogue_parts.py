"""Lists of integrations in files that cannot import the catalogue; `make generate` writes them.

They are the rows of README's table, the lines of the dashboard, and the types that the command line
completes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib import import_module
from itertools import chain, repeat

from dispatcher.integrations import catalogue
from dispatcher.integrations.integration import Integration

TABLE = """\
| Integration | Configured when | Delivers to | `config` of an override |
| --- | --- | --- | --- |
"""
ROWS = re.compile(re.escape(TABLE) + r"((?:\|.*\n)*)")
METRICS = re.compile(
    r'(?:^ *\["(?:IntegrationDispatcher|\.)", "accepted_\w+", .*\n)+(?=^ *\])', re.MULTILINE
)
LONGEST_LINE = 100
TYPES = re.compile(r"^TYPES = \([^)]*\)$", re.MULTILINE)


def readme(text: str) -> str:
    """Give each integration a row; the words of the rows that are there stay."""

    def table(found: re.Match[str]) -> str:
        written = {row.split("|")[1].strip(): row for row in found[1].splitlines()}
        rows = [written.get(name) or _row(one) for name, one in catalogue().items()]
        return TABLE + "".join(f"{row}\n" for row in rows)

    return replaced(ROWS, table, text)


def _row(integration: Integration) -> str:
    """Return a row made of what the module says of itself: a first draft for the author."""
    module = import_module(f"dispatcher.integrations.{integration.name.lower()}")
    purpose = (module.__doc__ or "").partition("\n")[0].removeprefix(f"{integration.name}: ")
    configured = "always" if integration.configured({}) else "by an operator"
    keys = ", ".join(f"`{key}`" for key in integration.config_type.__annotations__)
    return f"| {integration.name} | {configured} | {purpose.rstrip('.')} | {keys} |"


def template(text: str) -> str:
    """Draw the accepted deliveries of each integration; a dot repeats what is above it."""
    first, other = ('"IntegrationDispatcher"', '"stack", "${AWS::StackName}"'), ('"."', '".", "."')
    shown = zip(catalogue(), chain([first], repeat(other)), strict=False)
    lines = [
        f'{" " * 16}[{namespace}, "accepted_{name.lower()}", {stack}, {{"label": "{name}"}}]'
        for name, (namespace, stack) in shown
    ]
    return replaced(METRICS, lambda _: ",\n".join(lines) + "\n", text)


def options(text: str) -> str:
    """Let the command line complete each type."""
    types = [f'"{name}"' for name in catalogue()]
    line = f"TYPES = ({', '.join(types)})"
    if len(line) > LONGEST_LINE:
        # As the formatter writes it.
        line = "".join(["TYPES = (\n", *(f"    {name},\n" for name in types), ")"])
    return replaced(TYPES, lambda _: line, text)


def replaced(part: re.Pattern[str], made: Callable[[re.Match[str]], str], text: str) -> str:
    """Return a text with a part made new; ``ValueError`` unless it has the part exactly once."""
    text, count = part.subn(made, text)
    if count != 1:
        raise ValueError(f"This part occurs {count} times instead of once: {part.pattern}")
    return text


PARTS: Mapping[str, Callable[[str], str]] = {
    "README.md": readme,
    "template.yaml": template,
    "cli/dispatch_cli/commands/options.py": options,
}
