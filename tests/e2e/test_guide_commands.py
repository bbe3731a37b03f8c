"""The guide's commands, as a person would paste them into a shell."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

GUIDE = Path(__file__).parents[1] / "data" / "guide.md"
BASE_URL = "http://localhost:8080"

# Verbatim commands have no room for options: curl reads these from its configuration file.
CURL_CONFIGURATION = """\
silent
show-error
noproxy = "*"
output = "/dev/null"
write-out = "%{http_code}"
"""


def commands() -> list[str]:
    """Return every curl command of the guide, one over several lines as one."""
    blocks = re.findall(r"```bash\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    joined = [command for block in blocks for command in re.split(r"\n(?=curl |#)", block)]
    return [command.strip() for command in joined if command.startswith("curl ")]


def test_all_commands_in_the_order_of_the_guide(api, stack, tmp_path):
    """Every curl command of the guide works as printed, on a user without overrides."""
    (tmp_path / ".curlrc").write_text(CURL_CONFIGURATION)
    environment = {"PATH": os.environ["PATH"], "CURL_HOME": str(tmp_path)}
    api.post("/api/v1/users/john.doe/integration-defaults/reset")

    told = []
    for command in commands():
        here = command.replace(BASE_URL, stack["api_url"])
        done = subprocess.run(
            ["bash", "-c", here], env=environment, capture_output=True, text=True, check=False
        )
        what = " ".join(command.split("\n", 1)[0].rstrip("\\").split())
        told.append((what.replace(BASE_URL, ""), done.returncode, done.stdout, done.stderr))

    john = "/api/v1/users/john.doe"
    reset = f"curl -X POST {john}/integration-defaults/reset"
    assert told == [
        (command, 0, status, "")
        for command, status in (
            ("curl /api/v1/integration-defaults", "200"),
            (f"curl {john}/integration-defaults", "200"),
            (f"curl -X POST {john}/integrations", "201"),
            ("curl /api/v1/integration-defaults", "200"),
            (f"curl {john}/integration-defaults", "200"),
            (reset, "200"),
            (f"curl -X POST {john}/integrations", "201"),
            (f"curl -X PUT {john}/integrations/SLACK", "200"),
            (f"curl -X DELETE {john}/integrations/SLACK", "204"),
            (f"curl {john}/integrations", "200"),
            (f"curl {john}/deliveries", "200"),
            (f'curl "{john}/deliveries?limit=20&offset=0"', "200"),
            ("curl /health", "200"),
            (f"curl {john}/deliveries", "200"),
            (reset, "200"),
        )
    ]
