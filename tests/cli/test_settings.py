"""Where the service is and who asks: environment, profiles, and what is never sent where."""

from __future__ import annotations

import json
import stat

import pytest

from dispatch_cli.failures import UsageFailure
from dispatch_cli.settings import Settings, settle
from tests.cli.server import always

NO_DEFAULTS = {"default_integrations": {}}

PROFILES = """
# The team's.
[profiles.default]
url = "https://dev.example.com/api/"
token = "dev-token"

[profiles.prod]
url = "https://prod.example.com"
api_key = "prod-key"
stack = "dispatcher-prod"
"""


@pytest.fixture
def home(tmp_path):
    """A home with two profiles."""
    file = tmp_path / ".config" / "dispatch" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(PROFILES)
    file.chmod(0o600)
    return tmp_path


DEV = Settings("https://dev.example.com/api", "profile default", ("token", "dev-token"))
PROD = Settings(
    "https://prod.example.com", "profile prod", ("api_key", "prod-key"), "dispatcher-prod"
)
OTHER = "https://other.example.com"


@pytest.mark.parametrize(
    ("environ", "profile", "settings"),
    [
        ({}, None, DEV),
        ({}, "prod", PROD),
        ({"DISPATCH_PROFILE": "prod"}, None, PROD),
        ({"DISPATCH_URL": OTHER, "DISPATCH_TOKEN": "t"}, "prod", PROD),
        ({"DISPATCH_TOKEN": "t"}, None, Settings(DEV.url, DEV.origin, ("token", "t"))),
        # The profile's token was not meant for this address.
        ({"DISPATCH_URL": OTHER}, None, Settings(OTHER, "DISPATCH_URL")),
        (
            {"DISPATCH_URL": OTHER, "DISPATCH_API_KEY": "k"},
            None,
            Settings(OTHER, "DISPATCH_URL", ("api_key", "k")),
        ),
    ],
)
def test_a_named_profile_counts_then_the_environment_then_the_default(
    home, environ, profile, settings
):
    """A credential stays with the address it was written down for."""
    assert settle({"HOME": str(home), **environ}, profile) == settings


def test_without_any_configuration_it_is_the_service_on_this_machine(tmp_path):
    """And there is nothing to say where that comes from."""
    settings = settle({"HOME": str(tmp_path)}, None)

    assert settings == Settings("http://localhost:8080", "")
    assert settings.headers == {}


def test_profiles_are_where_xdg_says(home):
    """A relative path there is ignored, as the specification asks."""
    moved = home / ".config"

    assert settle({"HOME": "/nowhere", "XDG_CONFIG_HOME": str(moved)}, None) == DEV
    assert settle({"HOME": str(home), "XDG_CONFIG_HOME": "relative"}, None) == DEV


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"DISPATCH_URL": "ftp://x"}, "cannot be used"),
        ({"DISPATCH_URL": "https://user:pass@x"}, "cannot be used"),  # pragma: allowlist secret
        ({"DISPATCH_URL": "https://x?y"}, "cannot be used"),
        ({"DISPATCH_URL": "https://[x"}, "cannot be used"),
        ({"DISPATCH_URL": "http://example.com", "DISPATCH_TOKEN": "t"}, "others could read it"),
        ({"DISPATCH_TOKEN": "two\nlines"}, "cannot be used"),
        ({"DISPATCH_TOKEN": "t", "DISPATCH_API_KEY": "k"}, "a token and an API key"),
        ({"DISPATCH_PROFILE": "nix"}, "no profile nix"),
    ],
)
def test_settings_that_cannot_be_used_are_refused_before_anything_is_sent(tmp_path, environ, told):
    """Without quoting a credential."""
    with pytest.raises(UsageFailure, match=told):
        settle({"HOME": str(tmp_path), **environ}, None)


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("localhost:8380", "Write how it begins: http://localhost:8380"),
        ("127.0.0.1:8380", "Write how it begins: http://127.0.0.1:8380"),
        ("abc.example.com/prod", "Write how it begins: https://abc.example.com/prod"),
        (
            "user:pass@abc.example.com",
            "It looks like https://host/stage, without user, query or fragment.",
        ),
    ],
)
def test_an_address_that_lacks_its_scheme_is_told_with_it(tmp_path, url, advice):
    """Plain http is for this machine; what may be a password is not repeated."""
    with pytest.raises(UsageFailure) as failure:
        settle({"HOME": str(tmp_path), "DISPATCH_URL": url}, None)

    assert failure.value.advice == advice


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("profiles = 1", "no table"),
        ("[profiles]\ndefault = 1", "no table"),
        ("[profiles.default]\nurl = 1", "url is not known or no text"),
        ("[profiles.default]\npassword = 'x'", "password is not known or no text"),
        ("not TOML", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_understood_is_told(home, text, told):
    """With its path."""
    (home / ".config/dispatch/config.toml").write_text(text)

    with pytest.raises(UsageFailure, match=told):
        settle({"HOME": str(home)}, None)


def test_a_secret_that_others_can_read_is_not_used(home):
    """As ssh does with its keys."""
    (home / ".config/dispatch/config.toml").chmod(0o640)

    with pytest.raises(UsageFailure, match="Others can read"):
        settle({"HOME": str(home)}, None)


@pytest.mark.parametrize(
    ("variable", "header", "text"),
    [
        ("DISPATCH_TOKEN", "Authorization", "Bearer secret"),
        ("DISPATCH_API_KEY", "x-api-key", "secret"),
    ],
)
def test_the_credential_is_sent_and_not_shown(alone, tmp_path, variable, header, text):
    """Whatever ~/.netrc says about the host."""
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login me password other\n")

    with always(200, json.dumps(NO_DEFAULTS)) as gateway:
        shown = alone(
            *("defaults", "-o", "json"),
            **{variable: "secret", "NETRC": str(netrc), "DISPATCH_URL": gateway.url},
        )

    assert (shown.exit_code, json.loads(shown.stdout)) == (0, NO_DEFAULTS)
    assert gateway.asked[0][2][header] == text
    assert "secret" not in shown.output


def test_who_is_not_let_in_learns_how(alone):
    """Two cases: no credential, and one that is not accepted."""
    with always(401, json.dumps({"message": "Unauthorized"})) as gateway:
        without = alone("defaults", DISPATCH_URL=gateway.url)
        wrong = alone("defaults", DISPATCH_URL=gateway.url, DISPATCH_TOKEN="old")

    assert "Set DISPATCH_TOKEN or DISPATCH_API_KEY" in without.stderr
    assert "see whether it has expired" in " ".join(wrong.stderr.split())


def test_login_keeps_a_token_for_this_user_alone(alone, home):
    """From a pipe; the other profiles and all comments stay."""
    words = ("--profile", "here", "--stack", "s")

    with always(200, json.dumps(NO_DEFAULTS)) as gateway:
        kept = alone("login", gateway.url, *words, typed="tök\n")
        done = alone("login", gateway.url, *words, typed="t0ken\n")
        used = alone("--profile", "here", "defaults", "-o", "json")

    file = home / ".config/dispatch/config.toml"
    assert [one.exit_code for one in (kept, done, used)] == [2, 0, 0]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text().startswith(PROFILES.rstrip())
    assert settle({"HOME": str(home)}, "here") == Settings(
        gateway.url, "profile here", ("token", "t0ken"), "s"
    )
    assert gateway.asked[0][2]["Authorization"] == "Bearer t0ken"
    assert done.stdout.splitlines()[-1] == (
        "To see whether it works: dispatch --profile here defaults"
    )
    assert "t0ken" not in done.output


def test_login_does_not_write_over_a_file_that_it_cannot_read(alone, home):
    """Nobody is asked for a token that has no place."""
    file = home / ".config/dispatch/config.toml"
    file.write_text("not TOML")

    shown = alone("login", "https://example.com", typed="t0ken\n")

    assert (shown.exit_code, file.read_text()) == (2, "not TOML")
