"""docs/adding-an-integration.md is true: its two files alone make an eighth integration."""

from __future__ import annotations

import sys
from importlib import import_module

import pytest

import channels
import dispatcher.integrations
from dispatcher.delivery.outcomes import Delivered
from dispatcher.errors import InvalidInputError
from dispatcher.integrations import catalogue
from tests.documents import blocks
from tests.world import USER, World

DOCUMENT = "docs/adding-an-integration.md"
FILES = [one.text for one in blocks() if one.document == DOCUMENT and one.language == "python"]
OPEN = {"STAGE": "local", "WEBHOOK_ALLOWED_CIDRS": "127.0.0.0/8", "WEBHOOK_ALLOW_HTTP": "true"}


@pytest.fixture
def ntfy(tmp_path, monkeypatch):
    """The two files of the page, beside those that ship."""
    for package, text in zip((dispatcher.integrations, channels), FILES, strict=True):
        folder = tmp_path / package.__name__
        folder.mkdir()
        (folder / "ntfy.py").write_text(text)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    catalogue.cache_clear()
    yield
    catalogue.cache_clear()
    for package in (dispatcher.integrations, channels):
        sys.modules.pop(f"{package.__name__}.ntfy", None)
        vars(package).pop("ntfy", None)


@pytest.fixture
def world(ntfy):
    """A service that has them."""
    world = World(**OPEN)
    world.channels["NTFY"] = import_module("channels.ntfy").channel(world.environ, None)
    return world


def test_the_two_files_deliver(world, receive):
    """From override to receiver, through accept, worker and history."""
    receiver = receive(context=None)
    url = f"http://127.0.0.1:{receiver.port}/topic"

    world.configurations.create(USER, {"integration_type": "ntfy", "config": {"url": url}})
    world.send(subject="Rain", integration_types=["NTFY"])
    world.run()

    [shown] = world.history.page(USER, {"integration_type": "ntfy"})["deliveries"]
    [(line, _, body)] = receiver.requests
    assert (shown["status"], shown["metadata"]) == ("success", Delivered({"status": 200}).metadata)
    assert (line, body) == ("POST /topic HTTP/1.1", b"Rain\nHello")


def test_it_is_an_integration_like_the_others(world):
    """In the defaults, with a reason, under the operator's variables, and in the health."""
    world.environ["INTEGRATION_DEFAULTS_NTFY_PRIORITY"] = "1"

    defaults = world.defaults.listing()["default_integrations"]
    disabled = world.configurations.effective(USER)["disabled_integrations"]
    health = world.health.report()["integrations"]

    assert list(defaults)[:2] == ["SLACK", "NTFY"]
    assert disabled["NTFY"] == "disabled_by_default"
    assert health["NTFY"]["configured"] is True


def test_its_config_is_checked_by_its_own_rules(world):
    """An invalid or missing key of the config is rejected with the key's pointer."""
    for config, pointer in (({"url": "ftp://x"}, "/config/url"), ({}, "/config/url")):
        with pytest.raises(InvalidInputError) as caught:
            world.configurations.create(USER, {"integration_type": "NTFY", "config": config})

        assert [field_error.pointer for field_error in caught.value.field_errors] == [pointer]


def test_its_url_is_read_back_as_three_stars_and_kept_by_them(world, receive):
    """No response, stored setting or log line shows it; the delivery has the real value."""
    receiver = receive(context=None)
    url = f"http://127.0.0.1:{receiver.port}/s3cret"

    created = world.configurations.create(
        USER, {"integration_type": "NTFY", "config": {"url": url}}
    )
    changed = world.configurations.update(USER, "NTFY", {"config": {"url": "***"}, "priority": 2})
    world.send(integration_types=["NTFY"])
    world.run()

    shown = [
        created,
        changed,
        world.configurations.listing(USER),
        world.configurations.effective(USER),
        world.history.page(USER, {}),
        world.overrides.get(USER).by_type["NTFY"].settings,
        world.event_log.lines,
    ]
    assert created["config"] == changed["config"] == {"url": "***"}
    assert "s3cret" not in repr(shown)
    assert [line for line, _, _ in receiver.requests] == ["POST /s3cret HTTP/1.1"]
