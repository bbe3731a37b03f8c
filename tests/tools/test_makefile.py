"""The commands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.conftest import LONGEST
from tools.paths import ROOT


def make(*arguments, **variables):
    """Run make; return the finished process."""
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=ROOT,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_is_the_default_and_lists_every_command():
    """The help of `make` has a line for every command."""
    commands = re.findall(r"^\.PHONY: (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)

    shown = make().stdout

    assert commands
    for command in commands:
        assert re.search(rf"^  make {command} +\w", shown, re.MULTILINE), command


def test_help_groups_the_commands_by_use():
    """Every line of a command follows the heading of its group."""
    groups = re.findall(r"^##@ (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)

    shown = make("help").stdout

    headings = re.findall(r"^(\S.*):$", shown, re.MULTILINE)
    assert headings == [*groups, "Settings"]
    assert shown.index(f"{headings[0]}:") < shown.index("  make ")


def test_the_files_that_make_test_begins_with_exist():
    """A renamed file would be started last, and every other worker would wait for it."""
    tests = ROOT / "tests"

    assert [name for name in LONGEST if not list(tests.rglob(name))] == []


def test_without_a_python_make_says_what_to_install():
    """Not `: command not found`."""
    made = make("setup", "PYTHON=")

    assert made.returncode != 0
    assert "Python 3.11 to 3.14 is needed" in made.stderr


def checked(target, folder, files):
    """Run a check of the Makefile in a repository with these files; return exit code and text."""
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    for name, text in {"samconfig.toml": "first = 1\n", **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "layers").mkdir(exist_ok=True)
    recipe = make("--dry-run", target).stdout.partition("git ")
    script = "".join(recipe[1:]).replace(".venv/bin", str(Path(sys.executable).parent))
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", script],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


SECRETS = {
    "a.py": ("key = " + "AKIA" + "Q3EGR5LKX7ZPT2VN", "AWS Access Key"),
    "tests/a.py": ("-----BEGIN " + "RSA PRIVATE KEY-----", "Private Key"),
    "cli/a.py": ("ghp_" + "a1B2" * 9, "GitHub Token"),
    "docs/a.yaml": ("https://me:" + "t0psecret" + "@example.com/", "Basic Auth Credentials"),
    "layers/a.py": ('password = "' + "hunter2-but-longer" + '"', "Secret Keyword"),
}


def test_a_secret_is_found_wherever_it_is(tmp_path):
    """Place and kind are reported, the secret is not; passwords are found in what ships."""
    files = {name: f"first = 1\n{line}\n" for name, (line, _) in SECRETS.items()}

    found = [
        checked("secrets", tmp_path, files),
        # The first scan ends the check, so the second one needs a clean rest.
        checked(
            "secrets", tmp_path, {**dict.fromkeys(files, ""), "layers/a.py": files["layers/a.py"]}
        ),
    ]

    output = "".join(text for _, text in found)
    assert [code != 0 for code, _ in found] == [True, True]
    assert [name for name, (_, kind) in SECRETS.items() if kind not in output] == []
    assert [name for name in files if f"{name}:2" not in output] == []
    assert [line for line, _ in SECRETS.values() if line in output] == []


def test_a_line_can_allow_itself_and_tests_may_have_passwords(tmp_path):
    """Made-up passwords of tests are no finding."""
    allowed = {name: f"{line}  # pragma: allowlist secret\n" for name, (line, _) in SECRETS.items()}

    password = SECRETS["layers/a.py"][0]
    assert checked("secrets", tmp_path, {**allowed, "tests/b.py": f"{password}\n"}) == (0, "")


def test_a_registry_host_is_found_with_its_line(tmp_path):
    """Every user's own settings say where packages come from; other names are allowed."""
    hosts = [".".join(name) for name in (("pypi", "org"), ("deb", "debian", "org"))]
    text = "".join(f"see https://{host}/simple\n" for host in hosts)

    found = checked("hosts", tmp_path, {"a.md": text})
    others = checked("hosts", tmp_path, {"a.md": "example.org, a pypi package, npm install\n"})

    lines = "".join(f"a.md:{n}:see https://{host}/simple\n" for n, host in enumerate(hosts, 1))
    assert found == (1, lines)
    assert others == (0, "")


def test_a_check_that_cannot_run_fails(tmp_path):
    """Without a repository no file is read."""
    recipe = make("--dry-run", "hosts").stdout.partition("git ")
    done = subprocess.run(
        ["bash", "-eu", "-c", "".join(recipe[1:])], cwd=tmp_path, capture_output=True, check=False
    )

    assert done.returncode == 1
