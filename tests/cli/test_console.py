"""`dispatch console` prints where the web console is, and opens it."""

from __future__ import annotations

import subprocess
import sys

import pytest

STAGE = "https://abc.execute-api.eu-central-1.amazonaws.com/prod"


def opened(browser, *words):
    """Run the program with one browser, or none."""
    environ = {"HOME": "/nowhere", "DISPATCH_URL": STAGE, "PATH": "", "BROWSER": browser}
    return subprocess.run(
        [sys.executable, "-m", "dispatch_cli", "console", *words],
        env={**environ, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("url", "words", "address"),
    [
        ("", (), "http://localhost:8080/console"),
        ("http://localhost:8390/", ("ada",), "http://localhost:8390/console#/u/ada/what"),
        (STAGE, (), f"{STAGE}/console"),
        (STAGE, ("a/b@c d|?#ü",), f"{STAGE}/console#/u/a%2Fb%40c%20d%7C%3F%23%C3%BC/what"),
    ],
)
def test_the_address_belongs_to_the_service_that_is_set(alone, url, words, address):
    """Below the stage, with the user in the fragment; the service need not run."""
    done = alone("console", *words, DISPATCH_URL=url)

    assert (done.exit_code, done.output) == (0, f"{address}\n")


def test_a_long_address_is_not_broken(alone):
    """It is copied from the terminal, however narrow that is."""
    done = alone("console", "u" * 128, DISPATCH_URL=STAGE)

    assert done.output == f"{STAGE}/console#/u/{'u' * 128}/what\n"


def test_a_credential_is_not_in_the_address(alone):
    """The console has its own sign-in, and addresses are kept in histories."""
    done = alone("console", "ada", DISPATCH_URL=STAGE, DISPATCH_TOKEN="a-secret")

    assert "a-secret" not in done.output


def test_open_gives_the_address_to_the_browser(tmp_path):
    """The one that the environment names, as other programs do."""
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n')
    browser.chmod(0o700)

    done = opened(f"{browser} %s", "ada", "--open")

    address = f"{STAGE}/console#/u/ada/what\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, address, "")
    assert (tmp_path / "opened").read_text() == address


def test_without_a_browser_the_address_is_still_printed():
    """On a server, say."""
    done = opened("/nowhere/browser %s", "--open")

    assert done.stdout == f"{STAGE}/console\n"
    assert done.stderr == (
        "error: --open: no browser could be started.\nOpen the address yourself.\n"
    )
    assert done.returncode == 2
