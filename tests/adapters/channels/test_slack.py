"""The SLACK channel against a workspace on loopback, its tokens and threads on moto."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import pytest

from channels.directory import TTL_FOUND, TTL_MISSING, Directory
from channels.slack import channel, probe
from dispatcher.delivery.outcomes import Delivered, Permanent, Retry
from dispatcher.errors import UnavailableError
from dispatcher.integrations.integration import Address
from tests.adapters.channels.contract import (
    AFTER,
    DELIVERY,
    ECHO,
    NOW,
    ChannelContract,
    Injection,
    Trouble,
    injections,
    message_for,
)
from tests.fake_servers.slack_server import TOKEN, FakeSlackServer, Response, error

ADA = "U024BE7LH"
DM = "D024BE7LH"
GENERAL = "C024BE91L"
MAIL = Address("email", "ada@example.com")

ANSWERS = {
    Trouble.TRANSIENT: error("internal_error"),
    Trouble.RETRY_AFTER: error("ratelimited", 429, Retry_After=str(AFTER)),
    Trouble.PERMANENT: error("is_archived"),
    Trouble.SLOW: Response(hangs=True),
    Trouble.GARBAGE: Response(
        f"<html>{ECHO}</html>".encode(), headers={"Content-Type": "text/html"}
    ),
    Trouble.HUGE: Response(b'{"x": "' + ECHO.encode() * 200_000 + b'"}'),
    Trouble.LOST: Response(acts=True, drops=True),
}


@pytest.fixture
def peer():
    """A workspace with one user and one channel."""
    with FakeSlackServer(users={"ada@example.com": ADA}, channels=(GENERAL,)) as peer:
        yield peer


@pytest.fixture
def environ(peer, aws):
    """An environment that names a token in Secrets Manager."""
    aws("secretsmanager").create_secret(Name="slack", SecretString=TOKEN)
    return {
        "SLACK_BOT_TOKEN_SECRET": "slack",
        "SLACK_API_URL": peer.url,
        "DELIVERIES_TABLE": "DeliveriesTable",
    }


@dataclass
class SlackBench:
    """The channel as the worker makes it."""

    channel: object
    peer: FakeSlackServer
    secrets: tuple[str, ...] = (TOKEN,)
    patience: float = 5.0

    def message(self, **changes):
        """Make a message for Ada's email address."""
        return message_for("SLACK", changes.pop("address", MAIL), **changes)

    def prepare(self, trouble):
        """Script the response to the post; a silent server is not waited for long."""
        if trouble is Trouble.SLOW:
            self.channel = replace(self.channel, seconds=2.0)
        self.peer.script("chat.postMessage", ANSWERS[trouble])

    def received(self):
        """Read the posts."""
        return [post.shown for post in self.peer.posts]

    def deliver(self, **changes):
        """Deliver a message."""
        return self.channel.deliver(self.message(**changes))


@pytest.fixture
def bench(peer, environ, aws):
    """The channel before the workspace."""
    return SlackBench(channel(environ, aws), peer)


@pytest.fixture
def threaded(bench, dynamodb):
    """The same, with a table to remember threads in."""
    return bench


class TestSlack(ChannelContract):
    """SLACK keeps the contract."""

    integration_type = "SLACK"
    troubles = tuple(ANSWERS)
    bad_addresses = (
        Address("channel", "<!channel>"),
        Address("slack_user", "U024BE7LH> <!here"),
        Address("email", "nobody@example.com"),
    )
    injections = (
        *injections("content", "SLACK"),
        *injections("content", "TEMPLATE"),
        *injections("subject", "SLACK")[:3],
        *injections("agent_id", "SLACK")[:3],
        Injection(
            "label", {"content": "[<!channel>](https://example.com/?a|<!here>)"}, "<!channel>"
        ),
        Injection("autolink", {"content": "<https://example.com|@channel>"}),
        Injection("code", {"content": "`<@U024BE7LH>` ``a`<!here>``"}),
        Injection("fence", {"content": "```\n<!channel>\n``` <!here>\n"}),
        Injection("image", {"content": "![<!channel>](https://example.com/x.png)"}, "<!channel>"),
        Injection("entity", {"content": "&#60;!channel&#62; &lt;@U024BE7LH&gt;"}),
        Injection("half", {"content": "*<!chan*nel> <!channel|x>"}),
    )

    def assert_inert(self, bench, injection):  # noqa: ARG002 - the same is true of each
        """No user is mentioned, and Slack's limits hold, or the server would have refused."""
        (post,) = bench.peer.posts
        assert post.mentions == []
        assert (post.request["parse"], "link_names" in post.request) == ("none", False)


def rich_text(*elements):
    """Return a block of one paragraph."""
    section = {"type": "rich_text_section", "elements": list(elements)}
    return {"type": "rich_text", "elements": [section]}


def test_a_post_is_whole(bench):
    """Subject, content, agent, a text for previews, and the ID that identifies duplicates."""
    outcome = bench.deliver(content="Take **an** umbrella")

    (post,) = bench.peer.posts
    assert outcome == Delivered({"channel": DM, "ts": post.ts})
    assert post.request == {
        "channel": DM,
        "text": "Rain\nTake an umbrella",
        "mrkdwn": False,
        "parse": "none",
        "unfurl_links": False,
        "unfurl_media": False,
        "metadata": {
            "event_type": "integration_message",
            "event_payload": {"delivery_id": DELIVERY},
        },
        "blocks": [
            rich_text({"type": "text", "text": "Rain", "style": {"bold": True}}),
            rich_text(
                {"type": "text", "text": "Take "},
                {"type": "text", "text": "an", "style": {"bold": True}},
                {"type": "text", "text": " umbrella"},
            ),
            {
                "type": "context",
                "elements": [{"type": "plain_text", "text": "from weather", "emoji": False}],
            },
        ],
    }


@pytest.mark.parametrize(
    ("address", "channel_id"),
    [
        (Address("channel", GENERAL), GENERAL),
        (Address("slack_user", ADA), DM),
        (MAIL, DM),
    ],
)
def test_every_kind_of_address_is_reached(bench, address, channel_id):
    """Channels as they are, users by their direct messages, addresses by the user behind them."""
    outcome = bench.deliver(address=address)

    assert outcome.metadata["channel"] == channel_id


def test_lookups_are_remembered(bench):
    """A second message asks Slack for nothing but the post."""
    bench.deliver()
    bench.deliver()

    assert bench.peer.calls == [
        "users.lookupByEmail",
        "conversations.open",
        "chat.postMessage",
        "chat.postMessage",
    ]


def test_what_is_remembered_passes(bench):
    """A missing user is looked up again after a minute, a known one after an hour."""
    now = [0.0]
    bench.channel = replace(bench.channel, directory=Directory(clock=lambda: now[0]))
    seen = []
    for moment in (
        0,
        TTL_MISSING - 1,
        TTL_MISSING,
        TTL_MISSING + TTL_FOUND - 1,
        TTL_MISSING + TTL_FOUND,
    ):
        now[0] = moment
        bench.peer.users = {"ada@example.com": ADA} if moment >= TTL_MISSING - 1 else {}
        bench.peer.calls.clear()
        outcome = bench.deliver()
        seen.append((outcome.code, "users.lookupByEmail" in bench.peer.calls))

    assert seen == [
        ("users_not_found", True),
        ("users_not_found", False),
        (None, True),
        (None, False),
        (None, True),
    ]


def test_a_direct_message_that_is_gone_is_opened_anew(bench):
    """A cached ID that a refusal shows to be wrong is forgotten."""
    bench.deliver()
    bench.peer.script("chat.postMessage", error("channel_not_found"))

    refused = bench.deliver()
    bench.peer.calls.clear()
    outcome = bench.deliver()

    assert (refused.code, type(outcome)) == ("channel_not_found", Delivered)
    assert bench.peer.calls == ["conversations.open", "chat.postMessage"]


@pytest.mark.parametrize(
    ("address", "config", "user_id", "mentions"),
    [
        (MAIL, {"mention_user": True}, "ada", [f"<@{ADA}>"] * 2),
        (MAIL, {"mention_user": False}, "ada", []),
        (
            Address("channel", GENERAL),
            {"mention_user": True, "slack_user_id": ADA},
            "ada",
            [f"<@{ADA}>"] * 2,
        ),
        (
            Address("channel", GENERAL),
            {"mention_user": True},
            "ada@example.com",
            [f"<@{ADA}>"] * 2,
        ),
        (Address("channel", GENERAL), {"mention_user": True}, "nobody", []),
        (Address("channel", GENERAL), {"mention_user": True}, "no@example.com", []),
    ],
)
def test_mentions_are_ours_alone(bench, address, config, user_id, mentions):
    """``mention_user`` puts a known user in front, in blocks and preview text."""
    bench.deliver(address=address, config=config, user_id=user_id)

    (post,) = bench.peer.posts
    assert post.mentions == mentions
    assert post.blocks[0] == ("" if not mentions else f"@{ADA} ") + "Rain"


def test_a_mention_needs_no_subject(bench):
    """It is then the only text in front."""
    bench.deliver(config={"mention_user": True}, subject=None)

    (post,) = bench.peer.posts
    assert post.blocks == [f"@{ADA}", "Take an umbrella", "from weather"]
    assert post.request["text"] == f"<@{ADA}> Take an umbrella"


def test_a_session_is_one_thread(threaded, dynamodb):
    """A session's messages stand under its first; other sessions and users have their own."""
    wanted = {"thread_replies": True}
    outcomes = [
        threaded.deliver(config=wanted, session_id=session, user_id=user)
        for session, user in [("s", "ada"), ("s", "ada"), ("t", "ada"), ("s", "bob"), ("s", "ada")]
    ]
    threaded.deliver(config={}, session_id="s")
    threaded.deliver(config=wanted, session_id=None)

    first = outcomes[0].metadata["ts"]
    threads = [post.request.get("thread_ts") for post in threaded.peer.posts]
    assert threads == [None, first, None, None, first, None, None]
    assert outcomes[1].metadata["thread_ts"] == first
    rows = dynamodb.scan(TableName="DeliveriesTable")["Items"]
    assert {row["sk"]["S"].rpartition("#")[0] for row in rows} == {f"THREAD#SLACK#{DM}"}


def test_the_first_to_begin_a_thread_stays(threaded):
    """If two post in parallel, one begins the thread; no later message moves it."""
    threads = threaded.channel.threads()
    message = threaded.message(session_id="s")

    threads.begin(message, DM, "1.000001")
    threads.begin(message, DM, "1.000002")

    assert threads.first(message, DM) == "1.000001"


def test_a_thread_ends(threaded):
    """After thirty days a session begins a new one."""
    threads = threaded.channel.threads()
    message = threaded.message(session_id="s")
    threads.begin(message, DM, "1.000001")

    later = replace(message, attempted_at=NOW + 31 * 86_400)
    before = threads.first(later, DM)
    threads.begin(later, DM, "2.000001")

    assert (before, threads.first(later, DM)) == (None, "2.000001")


def test_a_thread_that_was_deleted_is_begun_anew(threaded):
    """The refused try is a retry; the next one posts outside, and later ones follow it."""
    wanted = {"config": {"thread_replies": True}, "session_id": "s"}
    threaded.deliver(**wanted)
    threaded.peer.posts.clear()

    outcomes = [threaded.deliver(**wanted) for _ in range(3)]

    assert [outcome.code for outcome in outcomes] == ["thread_gone", None, None]
    first, second = threaded.peer.posts
    assert (first.request.get("thread_ts"), second.request["thread_ts"]) == (None, first.ts)


def test_a_thread_that_cannot_be_looked_up_waits(threaded, dynamodb):
    """No message is sent; the next attempt finds the user."""
    dynamodb.delete_table(TableName="DeliveriesTable")

    outcome = threaded.deliver(config={"thread_replies": True}, session_id="s")

    assert (outcome.code, threaded.received()) == ("thread_unavailable", [])


def test_a_thread_that_cannot_be_written_costs_no_delivery(threaded, dynamodb):
    """A posted message is delivered."""
    threads = threaded.channel.threads()
    gone = replace(threads, table="Gone")
    reading = type("Reading", (), {"first": lambda *_: None, "begin": gone.begin})()
    threaded.channel = replace(threaded.channel, threads=lambda: reading)

    outcome = threaded.deliver(config={"thread_replies": True}, session_id="s")

    assert isinstance(outcome, Delivered)


@pytest.mark.parametrize("content", ["word " * 1800, "x" * 9000, "line\n\n" * 1500, "&" * 2000])
def test_long_content_is_split_and_whole(bench, content):
    """A block takes 3,000 characters, and nothing is missing."""
    bench.deliver(content=content)

    (post,) = bench.peer.posts
    assert max(map(len, post.blocks)) <= 3000
    assert "".join(post.shown.split()).count(content[0]) >= content.count(content[0])
    assert "characters more" not in post.shown


def test_what_slack_does_not_take_is_counted(bench):
    """Beyond Slack's limit the message ends with the number of missing parts, in one more call."""
    bench.deliver(content="word " * 20_000)

    (post,) = bench.peer.posts
    assert bench.peer.calls.count("chat.postMessage") == 2
    assert re.fullmatch(r"… \([0-9]+ characters more\)", post.blocks[-2])
    assert sum(map(len, post.blocks)) > 6500


@pytest.mark.parametrize(
    "content", ["**a** *b* " * 2000, "- a\n" * 3000, "[a](https://example.com/) b\n\n" * 900]
)
def test_formatting_counts_as_text_does(bench, content):
    """Slack counts what surrounds a text, too: a shortened message is accepted."""
    assert isinstance(bench.deliver(content=content), Delivered)


def test_the_notification_is_short_and_escaped(bench):
    """It begins as the message does, without marks, and mentions no user."""
    bench.deliver(subject=None, content="**a** <!here> & " + "🇩🇪" * 2000)

    (post,) = bench.peer.posts
    text = post.request["text"]
    assert text.startswith("a &lt;!here&gt; &amp; 🇩🇪")
    assert text.endswith("🇩🇪 …")
    assert len(text) < 3100


def test_no_text_of_others_reorders_our_lines(bench):
    """The subject is in one line with a mention, and the agent with our own word."""
    bench.deliver(subject="Ra\u202ein", agent_id="wea\u2067ther")
    bench.deliver()

    reordering, plain = (post.request for post in bench.peer.posts)
    assert (reordering["blocks"], reordering["text"]) == (plain["blocks"], plain["text"])


def test_rendering_sends_nothing(bench):
    """A message that is rendered before the attempt is posted by the attempt alone."""
    send = bench.channel.render(bench.message())
    before = list(bench.peer.calls)

    outcome = send()

    assert (before, type(outcome), len(bench.peer.posts)) == ([], Delivered, 1)


def test_a_message_that_stays_too_long_is_refused(bench):
    """Shortened once, it is not shortened again."""
    bench.peer.script("chat.postMessage", *[error("msg_blocks_too_long")] * 2)

    outcome = bench.deliver()

    assert outcome == Permanent("msg_blocks_too_long", "Slack returned msg_blocks_too_long")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (error("ratelimited", Retry_After="3"), Retry("ratelimited", "", 3.0)),
        (error("service_unavailable", 503), Retry("service_unavailable", "")),
        (Response(b"<html>", 502), Retry("http_502", "")),
        (Response(b"", 408), Retry("http_408", "")),
        (Response(b"", 302, {"Location": "https://example.com"}), Permanent("http_302", "")),
        (Response(b"", 404), Permanent("http_404", "")),
        (Response({}), Retry("invalid_answer", "")),
        (Response(b"[1]"), Retry("invalid_answer", "")),
        (Response(b"[" * 100_000), Retry("invalid_answer", "")),
        (error(f"{ECHO} <b>"), Retry("invalid_answer", "")),
        (error("a_new_code"), Permanent("a_new_code", "")),
        (error("not_in_channel"), Permanent("not_in_channel", "")),
        (Response(drops=True), Retry("connection_failed", "")),
    ],
)
def test_refusals_have_a_class(bench, answer, expected):
    """Slack's codes, statuses and pages are outcomes, with Slack's own wish where it has one."""
    bench.peer.script("chat.postMessage", answer)

    outcome = bench.deliver()

    assert replace(outcome, detail="") == expected


@pytest.mark.parametrize("method", ["users.lookupByEmail", "conversations.open"])
@pytest.mark.parametrize(
    "answer",
    [error("ratelimited"), Response({"ok": True}), Response({"ok": True, "user": {"id": "?"}})],
)
def test_a_lookup_that_fails_is_tried_again(bench, method, answer):
    """Nothing is posted, nothing is remembered."""
    bench.peer.script(method, answer)

    outcomes = [bench.deliver(), bench.deliver()]

    assert [type(outcome) for outcome in outcomes] == [Retry, Delivered]


def test_an_answer_without_ids_is_a_delivery(bench):
    """Slack said ok: a retry would post it twice."""
    bench.peer.script("chat.postMessage", Response({"ok": True, "ts": ["?"]}))

    assert bench.deliver() == Delivered({})


def test_a_rotated_token_is_read_anew(bench, aws):
    """A token that was replaced a moment ago costs a retry, not the delivery."""
    bench.deliver()
    bench.peer.token = "xoxb-new"
    aws("secretsmanager").put_secret_value(SecretId="slack", SecretString='{"token": "xoxb-new"}')

    outcomes = [bench.deliver(), bench.deliver()]

    assert [outcome.code for outcome in outcomes] == ["token_renewed", None]


def test_a_wrong_token_is_final(bench):
    """Slack refuses it, and it is the one that is stored."""
    bench.peer.token = "another"

    outcome = bench.deliver()

    assert outcome == Permanent("invalid_auth", "Slack returned invalid_auth: check the bot token")


def test_a_token_that_cannot_be_read_waits(bench, aws):
    """Operators can fix it while the delivery is tried again."""
    aws("secretsmanager").delete_secret(SecretId="slack", ForceDeleteWithoutRecovery=True)

    outcome = bench.deliver()

    why = "could not be read: ResourceNotFoundException"
    detail = f"the secret that SlackBotTokenSecret names {why}"
    assert outcome == Retry("credentials_unavailable", detail)


def test_a_token_may_be_a_parameter(bench, environ, aws, peer):
    """A name that begins with a slash is one of Systems Manager's."""
    aws("ssm").put_parameter(Name="/slack/token", Value=TOKEN, Type="SecureString")
    bench.channel = channel({**environ, "SLACK_BOT_TOKEN_SECRET": "/slack/token"}, aws)

    assert isinstance(bench.deliver(), Delivered)


def test_proxies_of_the_environment_are_passed_by(bench, monkeypatch):
    """The token goes to Slack and to no host between."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    assert isinstance(bench.deliver(), Delivered)


def test_nothing_of_slack_is_logged(bench, caplog):
    """Neither the token nor the server's text; (botocore at DEBUG is another matter)."""
    caplog.set_level("DEBUG")
    bench.peer.script("chat.postMessage", ANSWERS[Trouble.GARBAGE], Response(drops=True))

    bench.deliver()
    bench.deliver()

    ours = [one.getMessage() for one in caplog.records if not one.name.startswith("botocore")]
    assert not [one for one in (TOKEN, ECHO, "umbrella") if one in " ".join(ours)]


def test_the_probe_asks_slack(environ, aws, peer):
    """A token that works is healthy, and each trouble has a short word."""
    probe(environ, aws)
    peer.script("auth.test", error("account_inactive"), Response(ECHO.encode(), 500))
    troubles = []
    for settings in (environ, environ, {**environ, "SLACK_BOT_TOKEN_SECRET": "none"}):
        with pytest.raises(UnavailableError) as raised:
            probe(settings, aws)
        troubles.append(str(raised.value))

    assert troubles == [
        "Slack returned account_inactive: the app was removed from the workspace",
        "Slack returned http_500",
        "the secret that SlackBotTokenSecret names could not be read: ResourceNotFoundException",
    ]


def test_the_probe_is_bounded(environ, aws, peer):
    """A workspace that hangs is down within two seconds."""
    peer.script("auth.test", Response(hangs=True))

    with pytest.raises(UnavailableError, match="Slack did not respond"):
        probe(environ, aws)
