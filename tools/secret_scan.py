"""Check that no file of the repository holds a secret.

Tokens and keys with a distinct form are searched everywhere; assignments to names such
as ``password`` only in what ships, because tests are full of made-up ones. A line that must look
like a secret says so: ``pragma: allowlist secret``.
"""

from __future__ import annotations

import subprocess
import sys

from detect_secrets.core.scan import scan_file
from detect_secrets.settings import transient_settings

from tools.paths import ROOT

FORMS = (
    *("ArtifactoryDetector", "AWSKeyDetector", "AzureStorageKeyDetector", "BasicAuthDetector"),
    *("CloudantDetector", "DiscordBotTokenDetector", "GitHubTokenDetector", "GitLabTokenDetector"),
    *("IbmCloudIamDetector", "JwtTokenDetector", "MailchimpDetector", "NpmDetector"),
    *("OpenAIDetector", "PrivateKeyDetector", "PypiTokenDetector", "SendGridDetector"),
    *("SlackDetector", "SquareOAuthDetector", "StripeDetector", "TwilioKeyDetector"),
)
SHIPS = ("functions/", "layers/", "samconfig.toml")
FILTERS = (
    "allowlist.is_line_allowlisted",
    "heuristic.is_indirect_reference",
    "heuristic.is_not_alphanumeric_string",
    "heuristic.is_templated_secret",
)

#: Recorded attacks, among them what looks like a token of Slack; and hashes.
EXCEPT = ("tests/data/bad_inputs.json", ".lock")


def found_in(names: list[str], plugins: tuple[str, ...]) -> list[tuple[str, int, str]]:
    """Return file, line and kind of whatever looks like a secret."""
    settings = {
        "plugins_used": [{"name": name} for name in plugins],
        "filters_used": [{"path": f"detect_secrets.filters.{name}"} for name in FILTERS],
    }
    with transient_settings(settings):
        return [
            (name, one.line_number, one.type)
            for name in names
            # A link's file is checked where it lies.
            if (ROOT / name).is_file() and not (ROOT / name).is_symlink()
            for one in scan_file(str(ROOT / name))
        ]


def main() -> int:
    """Check every file that is committed or could be."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = [name for name in listed.split("\0") if name and not name.endswith(EXCEPT)]
    shipped = [name for name in names if name.startswith(SHIPS)]
    found = [*found_in(names, FORMS), *found_in(shipped, ("KeywordDetector",))]
    for name, line, kind in found:
        print(f"{name}:{line}: looks like a secret ({kind})", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
