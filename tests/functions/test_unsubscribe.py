"""The unsubscribe link of an email, as mailbox providers, scanners and people use it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from html.parser import HTMLParser

import boto3
import pytest

from dispatcher import wiring
from dispatcher.access.links import Links
from dispatcher.adapters.overrides import OverrideTable
from dispatcher.edges import unsubscribe_page
from dispatcher.errors import ConditionFailed
from tests.fake_servers.smtp_server import FakeSmtpServer
from tests.functions.service import LINK_KEY, sample

ADA = {"user_id": "ada"}
ONE_CLICK = "List-Unsubscribe=One-Click"
FORM = "application/x-www-form-urlencoded"
SECURITY = {"title": "Security", "locked": True, "reach_by": ["EMAIL"]}
BUS = "event-bus/OutcomeBusName"
BROWSER = "text/html,application/xhtml+xml"
SCANNERS = (
    "Mozilla/5.0 (compatible; SafeLinks)",
    "Barracuda Sentinel (EE)",
    "Mozilla/5.0 (compatible; Googlebot/2.1)",
    "Proofpoint URL Defense",
    "curl/8.5.0",
)


class Key:
    """Signs as the stack's secret does."""

    def __init__(self, key=LINK_KEY):
        self.key = key

    def current(self):
        """Return the key."""
        return self.key


def token(purpose="unsubscribe", key=LINK_KEY, **changes):
    """Return a token for Ada's news by email."""
    payload = {"u": "ada", "c": "news", "e": int(time.time()) + 3600, **changes}
    return Links(Key(key), None).sign(purpose, payload)


@pytest.fixture
def news(service):
    """The category of the tokens."""
    category(service, "news", title="News")
    return service


def category(service, name, **fields):
    """Define a category that all functions see immediately."""
    assert service.ask("put_category", fields, category=name)[0] in {200, 201}
    wiring.reset()


def get(service, token, **headers):
    """Request the page."""
    return service.response("show_unsubscribe", token=token, headers=headers)


def post(service, token, body=ONE_CLICK, content_type=FORM, **headers):
    """Post a form."""
    headers = {"Content-Type": [content_type], **headers}
    return service.response("unsubscribe", body, token=token, headers=headers)


def preferences(service):
    """Return what Ada has set: categories and who changed them last."""
    _, shown = service.ask("get_preferences", **ADA)
    return shown["categories"], shown["updated_via"]


def heading(response):
    """Return the text of the page's heading."""
    return re.sub("<[^>]+>", "", re.search(r"<h1>(.*?)</h1>", response["body"])[1])


def multipart(*fields, boundary="x-boundary", newline="\r\n"):
    """Return a multipart body and its content type."""
    parts = [
        f'--{boundary}{newline}Content-Disposition: form-data; name="{name}"{newline * 2}{value}'
        for name, value in fields
    ]
    body = newline.join([*parts, f"--{boundary}--", ""])
    return body, f"multipart/form-data; boundary={boundary}"


def test_the_page_asks_and_changes_nothing(news):
    """It shows the title, one button and a link, and neither the user nor an address."""
    response = get(news, token())

    assert response["statusCode"] == 200
    assert heading(response) == "Unsubscribe from News"
    assert response["body"].count("<button") == 1
    assert 'href="../console"' in response["body"]
    assert "ada" not in response["body"]
    assert preferences(news) == (None, None)


def test_scanners_may_open_the_link_as_often_as_they_like(news):
    """100 requests by five clients, GET and HEAD: no write, and preferences are unchanged."""
    link = token()

    for number in range(100):
        event = sample("show_unsubscribe")
        event["httpMethod"] = "HEAD" if number % 2 else "GET"
        event["pathParameters"]["token"] = link
        event["multiValueHeaders"]["User-Agent"] = [SCANNERS[number % 5]]
        response = news.invoke("show_unsubscribe", event)
        assert response["statusCode"] == 200
        assert (response["body"] == "") is bool(number % 2)

    actions = {action for action, _ in news.used["show_unsubscribe"]}
    assert actions == {"dynamodb:GetItem", "secretsmanager:GetSecretValue"}
    assert preferences(news) == (None, None)


def test_head_has_the_headers_of_get(news):
    """RFC 9110, 9.3.2."""
    event = sample("show_unsubscribe")

    shown = news.invoke("show_unsubscribe", event)
    head = news.invoke("show_unsubscribe", {**event, "httpMethod": "HEAD"})

    assert head == {**shown, "body": ""}


def test_the_page_may_load_nothing_and_leak_nothing(news):
    """Its policy allows its own style alone; the address with the token goes nowhere."""
    response = get(news, token())

    [style] = re.findall(r"<style>(.*?)</style>", response["body"], re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert response["headers"] == {
        "Content-Type": "text/html; charset=utf-8",
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Robots-Tag": "noindex",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": (
            f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; "
            "frame-ancestors 'none'; base-uri 'none'"
        ),
    }
    assert re.findall(r"<script|\bon\w+=|\bstyle=|\bsrc=|https?://", response["body"]) == []


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (ONE_CLICK, FORM),
        (ONE_CLICK, "Application/X-WWW-Form-URLencoded; charset=UTF-8"),
        ("action=unsubscribe", FORM),
        multipart(("List-Unsubscribe", "One-Click")),
        multipart(("List-Unsubscribe", "One-Click"), newline="\n"),
        multipart(("action", "unsubscribe"), boundary="----WebKitFormBoundary7MA4YWxkTrZu0gW"),
    ],
)
def test_one_click_ends_the_category_by_email_alone(news, body, content_type):
    """Both encodings of RFC 8058, and the button of the page; 200 and no redirect."""
    response = post(news, token(), body, content_type)

    assert (response["statusCode"], heading(response)) == (200, "You are unsubscribed from News")
    assert preferences(news) == ({"news": {"integrations": {"EMAIL": False}}}, "unsubscribe")


def test_a_body_in_base64_is_read(news):
    """API Gateway may encode it."""
    event = sample("unsubscribe")
    event["pathParameters"]["token"] = token()
    event |= {"body": base64.b64encode(ONE_CLICK.encode()).decode(), "isBase64Encoded": True}

    assert news.invoke("unsubscribe", event)["statusCode"] == 200
    assert preferences(news)[1] == "unsubscribe"


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("", FORM),
        ("List-Unsubscribe=one-click", FORM),
        ("list-unsubscribe=One-Click", FORM),
        ("action=delete", FORM),
        ("action=unsubscribe&action=undo", FORM),
        (f"{ONE_CLICK}&more=1", FORM),
        ("&".join(f"a{n}=1" for n in range(50)), FORM),
        ("List-Unsubscribe=%ff", FORM),
        (ONE_CLICK, "application/json"),
        ('{"List-Unsubscribe": "One-Click"}', "application/json"),
        (ONE_CLICK, "text/plain"),
        (ONE_CLICK, "multipart/form-data"),
        (ONE_CLICK, "multipart/form-data; boundary=x"),
        ("--x--\r\n", "multipart/form-data; boundary=x"),
        multipart(("List-Unsubscribe", "One-Click"), ("action", "undo")),
        multipart(*[("List-Unsubscribe", "One-Click")] * 20),
        ("--x\r\n\r\nOne-Click\r\n--x--\r\n", "multipart/form-data; boundary=x"),
        multipart(('a"; name="List-Unsubscribe', "One-Click")),
        ("x" * 8192, FORM),
    ],
)
def test_any_other_body_is_refused_and_changes_nothing(news, body, content_type):
    """422, whatever the body pretends to be."""
    response = post(news, token(), body, content_type)

    assert response["statusCode"] == 422
    assert json.loads(response["body"])["errors"]
    assert preferences(news) == (None, None)


def test_a_long_body_is_refused_before_it_is_parsed(news):
    """422 above 8 KiB, as for any other body; 413 above 256 KiB, as for any route."""
    form = "List-Unsubscribe=One-Click" + "&" * 8192

    assert post(news, token(), form)["statusCode"] == 422
    assert post(news, token(), "x" * (256 * 1024 + 1))["statusCode"] == 413


def test_a_repeated_click_writes_nothing(news):
    """Mailbox providers repeat requests; the second one finds it done."""
    link = token()
    post(news, link)
    before = preferences(news), news.ask("get_preferences", **ADA)[1]["updated_at"]

    response = post(news, link)
    writes = {action for action, _ in news.called} - {"dynamodb:GetItem"}

    assert (response["statusCode"], writes) == (200, set())
    assert (preferences(news), news.ask("get_preferences", **ADA)[1]["updated_at"]) == before


def test_a_click_takes_one_read_and_one_write(news):
    """With the key and the categories in memory."""
    get_other = token(u="joe")
    post(news, get_other)

    post(news, token())

    assert [action for action, _ in news.called] == ["dynamodb:GetItem", "dynamodb:UpdateItem"]


def test_undo_gives_the_setting_back(news):
    """Earlier settings stay."""
    link = token()
    chosen = {"news": {"enabled": True, "integrations": {"SLACK": False}}}
    news.ask("update_preferences", {"categories": chosen}, **ADA)
    post(news, link)
    ended = preferences(news)

    response = post(news, link, "action=undo")
    again = post(news, link, "action=undo")

    both = {"enabled": True, "integrations": {"SLACK": False, "EMAIL": False}}
    assert ended == ({"news": both}, "unsubscribe")
    assert {heading(response), heading(again)} == {"You get News by email again"}
    assert preferences(news) == (chosen, "unsubscribe")
    assert [action for action, _ in news.called] == ["dynamodb:GetItem"]


def test_undo_of_the_only_setting_leaves_no_row(news):
    """As if the user had never set anything."""
    link = token()
    post(news, link)
    post(news, link, "action=undo")

    rows = boto3.client("dynamodb").scan(TableName="OverridesTable")["Items"]

    assert [row for row in rows if row["user_id"] == {"S": "ada"}] == []


def test_undo_keeps_what_the_user_enabled_meanwhile(news):
    """It takes an opt-out back and no other setting."""
    chosen = {"news": {"integrations": {"EMAIL": True}}}
    news.ask("update_preferences", {"categories": chosen}, **ADA)

    post(news, token(), "action=undo")

    assert preferences(news) == (chosen, "api")


def test_full_preferences_do_not_keep_a_subscription(news, monkeypatch):
    """A click and its undo ignore the limit of preferences; a change by the API may reduce them."""
    monkeypatch.setattr("dispatcher.configuration.preferences.LARGEST_PREFERENCES", 150)
    set_before = {
        "time_zone": "Europe/Berlin",
        "language": "de",
        "hours": {"integrations": ["SMS"]},
    }
    assert news.ask("update_preferences", set_before, **ADA)[0] == 200
    grown = {"categories": {"news": {"enabled": True, "integrations": {"SLACK": False}}}}

    clicked = post(news, token())["statusCode"]
    ended = preferences(news)
    refused, _ = news.ask("update_preferences", grown, **ADA)
    reduced, _ = news.ask("update_preferences", {"language": None}, **ADA)
    undone = post(news, token(), "action=undo")["statusCode"]

    assert (clicked, refused, reduced, undone) == (200, 422, 200, 200)
    assert ended == ({"news": {"integrations": {"EMAIL": False}}}, "unsubscribe")
    assert preferences(news)[0] is None


def test_another_writer_that_comes_between_loses_nothing(news, monkeypatch):
    """The click is merged again into the row that the other one left."""
    store, other = OverrideTable.set_preferences, iter([True])

    def late(table, *arguments, **options):
        if next(other, False):
            monkeypatch.setattr(OverrideTable, "set_preferences", store)
            news.ask("update_preferences", {"language": "de"}, **ADA)
        return store(table, *arguments, **options)

    monkeypatch.setattr(OverrideTable, "set_preferences", late)
    event = {**sample("unsubscribe"), "pathParameters": {"token": token()}}
    response = news.invoke("unsubscribe", event)

    _, shown = news.ask("get_preferences", **ADA)
    assert response["statusCode"] == 200
    assert (shown["language"], shown["categories"]["news"]) == (
        "de",
        {"integrations": {"EMAIL": False}},
    )


def bad_tokens():
    """Return by name every kind of token that opens nothing."""
    good = token()
    return {
        "tampered": good[:5] + ("A" if good[5] != "A" else "B") + good[6:],
        "truncated": good[:-1],
        "expired": token(e=int(time.time())),
        "of another purpose": token("preferences"),
        "of another key": token(key="another"),
        "of another user": token(u="joe").partition(".")[0] + "." + good.partition(".")[2],
        "too long": good + "A" * 700,
        "empty": "",
        "not ASCII": "%C3%A9",
    }


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_every_bad_token_is_the_same_404(news, method):
    """Equal bodies and headers: the response tells nothing about the token."""
    ask = get if method == "GET" else post

    responses = {name: ask(news, bad) for name, bad in bad_tokens().items()}

    assert {one["statusCode"] for one in responses.values()} == {404}
    assert len({json.dumps(one, sort_keys=True) for one in responses.values()}) == 1
    assert heading(responses["expired"]) == "This link is not valid"
    assert preferences(news) == (None, None)


def test_a_token_of_another_user_changes_that_user_alone(news):
    """The user is the token's."""
    post(news, token(u="joe"))

    assert preferences(news) == (None, None)


def test_a_key_that_was_rotated_once_is_good_and_twice_is_not(news):
    """By the versions of the secret, in a new container each time."""
    link, secrets, statuses = token(), boto3.client("secretsmanager"), []
    for key in ("second", "third"):
        secrets.put_secret_value(SecretId="stack-links", SecretString=key)
        wiring.reset()
        statuses.append(get(news, link)["statusCode"])

    assert statuses == [200, 404]


@pytest.mark.parametrize("body", [ONE_CLICK, "action=undo"])
def test_a_category_that_was_locked_since_says_so_and_changes_nothing(news, body):
    """200 for the provider that clicked, and the reason for people."""
    category(news, "news", **{**SECURITY, "title": "News"})
    link = token()

    pages = get(news, link), post(news, link, body)

    assert [(one["statusCode"], heading(one)) for one in pages] == [
        (200, "News cannot be switched off")
    ] * 2
    assert "<form" not in pages[0]["body"] + pages[1]["body"]
    assert preferences(news) == (None, None)


def test_a_category_that_was_removed_says_so_and_changes_nothing(news):
    """Also 200."""
    link = token(c="gone")

    pages = get(news, link), post(news, link)

    assert {one["statusCode"] for one in pages} == {200}
    assert {heading(one) for one in pages} == {"This subscription does not exist any more"}
    assert preferences(news) == (None, None)


def test_a_table_that_cannot_be_reached_is_a_503_page(news):
    """With Retry-After; the log has the reason."""
    boto3.client("dynamodb").delete_table(TableName="OverridesTable")
    wiring.reset()
    link = token()

    for response in (get(news, link), post(news, link)):
        assert (response["statusCode"], response["headers"]["Retry-After"]) == (503, "5")
        assert heading(response) == "This did not work"
        [line] = [one for one in news.lines if one.msg == "request.handled"]
        assert (line.levelname, line.error) == ("WARNING", "UnavailableError")


def test_keys_that_cannot_be_read_are_a_503_page(news):
    """Not a 404: the link may be good."""
    boto3.client("secretsmanager").delete_secret(
        SecretId="stack-links", ForceDeleteWithoutRecovery=True
    )
    wiring.reset()

    assert get(news, token())["statusCode"] == 503


def test_a_row_that_others_keep_changing_is_a_503_page(news, monkeypatch):
    """The provider tries again."""

    def refuse(*_arguments, **_options):
        raise ConditionFailed

    monkeypatch.setattr(OverrideTable, "set_preferences", refuse)

    assert post(news, token())["statusCode"] == 503


def test_the_log_names_the_category_and_never_the_token(news):
    """Also where a request is refused; the route is its template."""
    links = [token(), *filter(None, bad_tokens().values())]
    texts = []
    for link in links:
        for body in (None, ONE_CLICK, "nonsense"):
            _ = get(news, link) if body is None else post(news, link, body)
            texts += [json.dumps(vars(line), default=str) for line in news.lines]
    post(news, links[0], "action=undo")
    [line] = [one for one in news.lines if one.msg == "category.unsubscribed"]

    assert (line.category, line.action) == ("news", "undo")
    assert all("/u/{token}" in text for text in texts if "request.handled" in text)
    assert [link for link in links for text in texts if link in text] == []


def test_a_click_counts_and_an_undo_does_not(news):
    """The metric ``unsubscribed`` counts categories that users ended."""
    link, counts = token(), []
    for body in (ONE_CLICK, ONE_CLICK, "action=undo"):
        post(news, link, body)
        counts.append(sum(getattr(line, "unsubscribed", 0) for line in news.lines))

    assert counts == [1, 0, 0]


def test_a_click_is_published(news, monkeypatch):
    """As every change of preferences, with its way."""
    monkeypatch.setenv("OUTCOME_BUS_NAME", BUS)
    wiring.reset()
    published = []
    monkeypatch.setattr(
        "dispatcher.adapters.eventbridge.EventBridgePublisher.publish_change",
        lambda _self, change: published.append(change),
    )
    link = token()

    for body in (ONE_CLICK, ONE_CLICK, "action=undo"):
        post(news, link, body)

    change = {"user_id": "ada", "via": "unsubscribe", "fields": ["categories"], "category": "news"}
    assert published == [change, change]


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("de", "de"),
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("DE", "de"),
        ("en-US,en;q=0.9,de;q=0.8", "en"),
        ("de;q=0.5,en;q=0.8", "en"),
        ("fr,de;q=0.3", "de"),
        ("fr", "en"),
        ("*", "en"),
        ("de;q=0.1,*;q=0.5", "en"),
        ("en;q=0.1,*;q=0.5", "de"),
        ("*;q=0.5,de", "de"),
        ("DE;Q=0.9,EN;Q=0.1", "de"),
        ("de;q=0", "en"),
        ("", "en"),
        ("de;q=9,;;=,\x00", "en"),
        ("deu,den", "en"),
    ],
)
def test_the_page_is_in_german_for_those_who_prefer_it(news, header, language):
    """English for all others, and for nonsense."""
    response = get(news, token(), **{"Accept-Language": [header]})

    assert unsubscribe_page.language(header) == language
    assert f'<html lang="{language}">' in response["body"]
    assert heading(response) == {"de": "News abbestellen", "en": "Unsubscribe from News"}[language]


def test_both_languages_say_the_same_things():
    """The same pages, with the same buttons and the title in the same parts."""
    shapes = {
        language: {
            state: ("{}" in one.heading, "{}" in one.text, one.action, one.label is None)
            for state, one in words.items()
        }
        for language, words in unsubscribe_page.WORDS.items()
    }

    assert shapes["en"] == shapes["de"]


def test_a_title_is_text(service):
    """Also one that looks like markup or a format."""
    title = '<script>alert(1)</script> {0} {action} "&'
    category(service, "news", title=title)
    texts = []
    parser = HTMLParser()
    parser.handle_data = texts.append

    for response in (get(service, token()), post(service, token())):
        parser.feed(response["body"])
        assert "<script" not in response["body"]

    assert "".join(texts).count(title) == 6


def test_a_title_does_not_reorder_the_page(service):
    """The page's title has no element that isolates it; without visible text the name is shown."""
    category(service, "news", title="Ne\u202ews\u2069")
    shown = get(service, token())
    category(service, "news", title="\u202e")
    nameless = get(service, token())

    assert "<title>Unsubscribe from News</title>" in shown["body"]
    assert heading(shown) == "Unsubscribe from News"
    assert heading(nameless) == "Unsubscribe from news"
    assert "\u202e" not in shown["body"] + nameless["body"]


def test_the_operators_page_is_linked_in_place_of_the_console(news, monkeypatch):
    """Without both, there is no link."""
    monkeypatch.setenv("PREFERENCES_URL", "https://example.com/me?a=1&b=2")
    wiring.reset()
    own = get(news, token())["body"]
    monkeypatch.setenv("PREFERENCES_URL", "")
    monkeypatch.setenv("CONSOLE_ENABLED", "false")
    wiring.reset()
    none = get(news, token())["body"]

    assert 'href="https://example.com/me?a=1&amp;b=2"' in own
    assert "<a " not in none


def test_the_next_mail_is_skipped_and_undo_restores_it(news, monkeypatch):
    """The link of a delivered email ends its category; a locked one is still delivered."""
    with FakeSmtpServer() as peer:
        for name, value in {
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(peer.port),
            "SMTP_TLS": "none",
            "EMAIL_SENDER": "news@example.com",
            "INTEGRATION_DEFAULTS_EMAIL_ENABLED": "true",
        }.items():
            monkeypatch.setenv(name, value)
        category(news, "security", **SECURITY)

        def send(name):
            body = {"content": "x", "category": name, "recipient": {"email": "ada@example.com"}}
            _, sent = news.ask("send_message", body, **ADA)
            news.deliver()
            return [one["integration_type"] for one in sent["deliveries"]]

        assert send("news") == ["EMAIL", "TEST"]
        [mail] = peer.mails
        link = re.search(r"/u/([^>]+)>", mail.read["List-Unsubscribe"])[1]
        post(news, link)
        assert (send("news"), send("security")) == (["TEST"], ["EMAIL", "TEST"])
        post(news, link, "action=undo")
        assert send("news") == ["EMAIL", "TEST"]

    assert mail.read["List-Unsubscribe-Post"] == ONE_CLICK
    assert mail.read["List-Id"] == "<news.example.com>"


def test_what_is_pending_when_the_link_is_clicked_ends_at_its_attempt(news, monkeypatch):
    """The delivery is skipped with the reason of a disabled category."""
    monkeypatch.setenv("EMAIL_SENDER", "news@example.com")
    monkeypatch.setenv("INTEGRATION_DEFAULTS_EMAIL_ENABLED", "true")
    wiring.reset()
    body = {"content": "x", "category": "news", "recipient": {"email": "ada@example.com"}}
    _, sent = news.ask("send_message", body, **ADA)
    post(news, token())

    news.deliver()

    email = sent["deliveries"][0]["delivery_id"]
    _, ended = news.ask("get_delivery", delivery_id=email, **ADA)
    assert (ended["status"], ended["error_code"]) == ("skipped", "category_disabled_by_user")
