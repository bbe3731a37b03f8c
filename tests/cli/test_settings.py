"""The address and the credential: environment, profiles, and where a credential is sent."""

from __future__ import annotations

import json
import stat

import pytest

from dispatch_cli.failures import UsageFailure
from dispatch_cli.sent import recall, remember
from dispatch_cli.settings import Settings, resolve, write_profile
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
    """A home directory with two profiles."""
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
        # The profile's token belongs to another address.
        ({"DISPATCH_URL": OTHER}, None, Settings(OTHER, "DISPATCH_URL")),
        (
            {"DISPATCH_URL": OTHER, "DISPATCH_API_KEY": "k"},
            None,
            Settings(OTHER, "DISPATCH_URL", ("api_key", "k")),
        ),
    ],
)
def test_the_order_is_named_profile_then_environment_then_default_profile(
    home, environ, profile, settings
):
    """A credential is only used with the address that it was configured for."""
    assert resolve({"HOME": str(home), **environ}, profile) == settings


def test_the_default_is_the_service_on_this_machine(tmp_path):
    """Without configuration, the address is the default and has no origin."""
    settings = resolve({"HOME": str(tmp_path)}, None)

    assert settings == Settings("http://localhost:8080", "")
    assert settings.headers == {}


def test_profiles_are_stored_in_the_xdg_directory(home):
    """A relative XDG_CONFIG_HOME is ignored, as the specification asks."""
    moved = home / ".config"

    assert resolve({"HOME": "/nowhere", "XDG_CONFIG_HOME": str(moved)}, None) == DEV
    assert resolve({"HOME": str(home), "XDG_CONFIG_HOME": "relative"}, None) == DEV


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"DISPATCH_URL": "ftp://x"}, "is invalid"),
        ({"DISPATCH_URL": "https://user:pass@x"}, "is invalid"),  # pragma: allowlist secret
        ({"DISPATCH_URL": "https://x?y"}, "is invalid"),
        ({"DISPATCH_URL": "https://[x"}, "is invalid"),
        ({"DISPATCH_URL": "http://example.com", "DISPATCH_TOKEN": "t"}, "readable in transit"),
        ({"DISPATCH_TOKEN": "two\nlines"}, "is invalid"),
        ({"DISPATCH_TOKEN": "t", "DISPATCH_API_KEY": "k"}, "a token and an API key are set"),
        ({"DISPATCH_PROFILE": "nix"}, "no profile nix"),
    ],
)
def test_invalid_settings_are_rejected_before_a_request(tmp_path, environ, message):
    """The error does not quote the credential."""
    with pytest.raises(UsageFailure, match=message):
        resolve({"HOME": str(tmp_path), **environ}, None)


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("localhost:8380", "The scheme is missing: http://localhost:8380"),
        ("127.0.0.1:8380", "The scheme is missing: http://127.0.0.1:8380"),
        ("abc.example.com/prod", "The scheme is missing: https://abc.example.com/prod"),
        (
            "user:pass@abc.example.com",
            "Expected: https://host/stage, without user, query or fragment.",
        ),
    ],
)
def test_a_missing_scheme_is_completed_in_the_error(tmp_path, url, advice):
    """The scheme is http on this machine, else https; a password is not repeated."""
    with pytest.raises(UsageFailure) as failure:
        resolve({"HOME": str(tmp_path), "DISPATCH_URL": url}, None)

    assert failure.value.advice == advice


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("profiles = 1", "not a table"),
        ("[profiles]\ndefault = 1", "not a table"),
        ("[profiles.default]\nurl = 1", "url is unknown or not a string"),
        ("[profiles.default]\npassword = 'x'", "password is unknown or not a string"),
        ("not TOML", "is not valid TOML"),
    ],
)
def test_an_invalid_profile_file_is_reported(home, text, message):
    """The error names what is wrong with the file."""
    (home / ".config/dispatch/config.toml").write_text(text)

    with pytest.raises(UsageFailure, match=message):
        resolve({"HOME": str(home)}, None)


def test_a_secret_that_other_users_can_read_is_rejected(home):
    """A profile file with a secret must only be readable by its owner."""
    (home / ".config/dispatch/config.toml").chmod(0o640)

    with pytest.raises(UsageFailure, match="Other users can read"):
        resolve({"HOME": str(home)}, None)


@pytest.mark.parametrize(
    ("variable", "header", "text"),
    [
        ("DISPATCH_TOKEN", "Authorization", "Bearer secret"),
        ("DISPATCH_API_KEY", "x-api-key", "secret"),
    ],
)
def test_the_credential_is_sent_and_not_shown(alone, tmp_path, variable, header, text):
    """The credential of the settings is sent, not the one in ~/.netrc."""
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login me password other\n")

    with always(200, json.dumps(NO_DEFAULTS)) as gateway:
        result = alone(
            *("defaults", "-o", "json"),
            **{variable: "secret", "NETRC": str(netrc), "DISPATCH_URL": gateway.url},
        )

    assert (result.exit_code, json.loads(result.stdout)) == (0, NO_DEFAULTS)
    assert gateway.requests[0][2][header] == text
    assert "secret" not in result.output


def test_a_401_names_the_next_step(alone):
    """The next step depends on whether a credential was sent."""
    with always(401, json.dumps({"message": "Unauthorized"})) as gateway:
        without = alone("defaults", DISPATCH_URL=gateway.url)
        wrong = alone("defaults", DISPATCH_URL=gateway.url, DISPATCH_TOKEN="old")

    assert without.stderr == (
        "error: Unauthorized (401)\n"
        "No credential is configured, and this service requires one.\n"
        f"To store a token: dispatch login {gateway.url}\n"
        f"To store an API key: dispatch login {gateway.url} --api-key\n"
    )
    assert wrong.stderr == (
        "error: The token is invalid or expired (401).\n"
        "It comes from DISPATCH_TOKEN.\n"
        f"To store a valid one: dispatch login {gateway.url}\n"
    )


def test_login_stores_a_token_in_a_private_file(alone, home):
    """The token comes from a pipe; other profiles and comments are preserved."""
    words = ("--profile", "here", "--stack", "s")

    with always(200, json.dumps(NO_DEFAULTS)) as gateway:
        invalid = alone("login", gateway.url, *words, typed="tök\n")
        done = alone("login", gateway.url, *words, typed="t0ken\n")
        used = alone("--profile", "here", "defaults", "-o", "json")

    file = home / ".config/dispatch/config.toml"
    assert [result.exit_code for result in (invalid, done, used)] == [2, 0, 0]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text().startswith(PROFILES.rstrip())
    assert resolve({"HOME": str(home)}, "here") == Settings(
        gateway.url, "profile here", ("token", "t0ken"), "s"
    )
    assert [sent["Authorization"] for _, _, sent, _ in gateway.requests] == ["Bearer t0ken"] * 2
    assert done.stdout.splitlines()[-1] == ("To use it: dispatch --profile here defaults")
    assert "t0ken" not in done.output


FORBIDDEN = {"title": "Forbidden", "detail": "This requires the scope dispatch:read."}


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (401, {"message": "Unauthorized"}, 4),
        (403, {"title": "Forbidden", "detail": "The firewall refused the request."}, 4),
        (503, {"title": "Not now"}, 3),
        (200, {"status": "UP"}, 3),
        (404, {"title": "Not found"}, 1),
    ],
)
def test_login_with_a_bad_key_keeps_the_profile(alone, home, status, body, code):
    """The service is called once; unless it accepts the key, nothing is stored."""
    with always(status, json.dumps(body)) as gateway:
        result = alone("login", gateway.url, "--api-key", "--profile", "prod", typed="bad\n")

    assert result.exit_code == code
    assert [sent["x-api-key"] for _, _, sent, _ in gateway.requests] == ["bad"]
    assert "Profile prod was not changed." in result.stderr
    assert "bad" not in result.output
    assert (home / ".config/dispatch/config.toml").read_text() == PROFILES


def test_login_with_an_unreachable_service_keeps_the_profile(alone, home):
    """A key that could not be checked is not stored."""
    result = alone("login", "http://127.0.0.1:1", typed="key\n")

    assert result.exit_code == 3
    assert (home / ".config/dispatch/config.toml").read_text() == PROFILES


def test_login_accepts_a_key_with_another_scope(alone, home):
    """A service key that may only send is valid; the missing scope is mentioned."""
    with always(403, json.dumps(FORBIDDEN)) as gateway:
        result = alone("login", gateway.url, "--api-key", typed="key\n")

    assert result.exit_code == 0
    assert "The API key is valid, but lacks the scope dispatch:read (403)." in result.stderr
    assert resolve({"HOME": str(home)}, None).credential == ("api_key", "key")


def test_login_stores_the_profile_that_the_program_was_called_with(alone, home):
    """--profile before the command means the same as after it."""
    with always(200, json.dumps(NO_DEFAULTS)) as gateway:
        alone("--profile", "new", "login", gateway.url, typed="t\n")

    assert resolve({"HOME": str(home)}, "new").url == gateway.url
    assert resolve({"HOME": str(home)}, None) == DEV


def test_a_url_on_the_command_line_replaces_the_environment(tmp_path, home):
    """--url counts like DISPATCH_URL: no profile's credential is sent there."""
    environ = {"HOME": str(home), "DISPATCH_URL": "https://x", "DISPATCH_TOKEN": "t"}

    assert resolve(environ, None, OTHER) == Settings(OTHER, "--url", ("token", "t"))
    assert resolve({"HOME": str(home)}, None, OTHER) == Settings(OTHER, "--url")
    with pytest.raises(UsageFailure, match="--url and --profile are both given"):
        resolve(environ, "prod", OTHER)


def test_without_a_home_directory_the_default_is_used(monkeypatch):
    """A user of a container may have none; only a named profile needs it."""

    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr("pathlib.Path.home", no_home)

    assert resolve({}, None).url == "http://localhost:8080"
    with pytest.raises(UsageFailure, match="This user has no home directory"):
        resolve({}, "prod")
    with pytest.raises(UsageFailure, match="This user has no home directory"):
        write_profile({}, "default", {})


@pytest.mark.parametrize("folder", ["/dev/null", "/dev/null/x", "/proc/x"])
def test_a_folder_that_cannot_be_written_is_explained(alone, folder):
    """The error is in words, and the memory of sent requests is not needed."""
    with always(200, json.dumps(NO_DEFAULTS)) as gateway:
        result = alone("login", gateway.url, typed="key\n", XDG_CONFIG_HOME=folder)

    assert result.exit_code == 2
    assert f"{folder}/dispatch/config.toml cannot be written: " in " ".join(result.stderr.split())
    assert "Errno" not in result.stderr
    remember({"XDG_STATE_HOME": folder}, "https://a", "ada", "r-1")
    assert recall({"XDG_STATE_HOME": folder}, "https://a", "ada") == []


def test_login_does_not_overwrite_an_unreadable_file(alone, home):
    """An invalid profile file is reported before the token is read."""
    file = home / ".config/dispatch/config.toml"
    file.write_text("not TOML")

    result = alone("login", "https://example.com", typed="t0ken\n")

    assert (result.exit_code, file.read_text()) == (2, "not TOML")
