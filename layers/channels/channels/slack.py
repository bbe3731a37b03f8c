"""Delivers to Slack: finds the channel, and posts one message of blocks as the workspace's bot.

Slack's API is not idempotent: if the response to a post is lost, the retry may post a duplicate.
Each post carries its ``delivery_id`` as Slack message metadata, which identifies duplicates.
"""

from __future__ import annotations

import http.client
import re
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from slack_sdk.errors import SlackApiError

from channels import rich_text
from channels.aws_errors import AwsError
from channels.credentials import CredentialError, Credentials
from channels.directory import NOT_FOUND, Directory
from channels.hosts import check_base_url
from channels.slack_web import FAULTS, PUBLIC, SlackWeb
from channels.threads import Threads
from dispatcher.deadline import Deadline
from dispatcher.delivery.outcomes import Delivered, Outcome, Permanent, Retry
from dispatcher.errors import BrokenSettingError, UnavailableError
from dispatcher.integrations.rules import email_of
from dispatcher.integrations.slack import TOKEN_SECRET, channel_id, slack_user_id
from dispatcher.lines import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from channels import ClientFactory
    from channels.rich_text import Part
    from dispatcher.delivery.ports import Channel, Message

ATTEMPT_SECONDS = 9.0
TIME_TO_POST = 2.0
"""Remaining seconds below which no call begins, because its response might come too late."""
TIME_TO_REMEMBER = 4.5
"""Remaining seconds below which a thread's start is not stored, so that the outcome is not late."""

PROBE_SECONDS = 1.9

MOST_BLOCKS = 50
ROOMS = (40_000, 9_000)
"""Characters of a whole message. Slack documents the first limit, but refuses some messages above
about 11,000 characters. A refused message is shortened to the second limit and posted again."""

ROOM_AROUND = 1800
"""Characters that are reserved for mention, subject and agent."""

LONGEST_TEXT = 3000
"""Characters of the plain text beside the blocks, which Slack shows in push alerts."""

TOO_LONG = frozenset({"msg_too_long", "msg_blocks_too_long"})
THREAD_GONE = frozenset({"thread_not_found", "cannot_reply_to_message", "message_not_found"})
TOKEN_REFUSED = frozenset({
    "invalid_auth", "not_authed", "token_expired", "token_revoked", "account_inactive",
})  # fmt: skip
TRANSIENT = frozenset({
    "ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable",
    "request_timeout", "team_added_to_org", "org_login_required", "external_channel_migrating",
    "invalid_answer",
})  # fmt: skip
RETRIED = frozenset({408, 409, 425, 429})

HINTS = {
    "account_inactive": "the app was removed from the workspace",
    "channel_not_found": "no such channel, or a private one without the app",
    "invalid_auth": "check the bot token",
    "is_archived": "the channel is archived",
    "missing_scope": "the app needs chat:write, im:write, users:read and users:read.email",
    "not_in_channel": "invite the app into the channel",
    NOT_FOUND: "no member of the workspace has this email address",
}

_CODE = re.compile(r"[a-z0-9_]{1,64}")
_TOKEN = re.compile(r"[!-~]+")


class _RefusedError(Exception):
    """The outcome is known before Slack is called."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


_NOBODY = Permanent(NOT_FOUND, f"Slack returned {NOT_FOUND}: {HINTS[NOT_FOUND]}")

PARAMETER = "SlackBotTokenSecret"  # pragma: allowlist secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Slack:
    """Implements ``ports.Channel``."""

    environ: Mapping[str, str]
    credentials: Credentials
    threads: Callable[[], Threads]
    directory: Directory = field(default_factory=Directory)
    seconds: float = ATTEMPT_SECONDS

    def deliver(self, message: Message) -> Outcome:
        """Post the message once and return the outcome."""
        return self.render(message)()

    def render(self, message: Message) -> Callable[[], Outcome]:
        """Render the message and return a function that posts it once."""
        # Slack refuses a post without text, and an older version accepted blank content.
        has_text = message.subject or message.content.strip()
        content = rich_text.parts(message.content if has_text else "New message")
        return lambda: self._send(message, content)

    def _send(self, message: Message, content: Sequence[Part]) -> Outcome:
        secret = self.environ.get(TOKEN_SECRET, "")
        deadline = Deadline(self.seconds, time.monotonic)
        try:
            url = _api_url(self.environ)
            token = _token(self.credentials, secret)
            reserve = min(TIME_TO_POST, self.seconds / 2)
            web = SlackWeb(token, url, deadline, reserve=reserve)
            try:
                return _Post(self, web, message, content, deadline).deliver()
            except SlackApiError as error:
                if _code(error) in TOKEN_REFUSED and self.credentials.has_changed(secret, token):
                    return Retry("token_renewed", "Slack refused a token that was just replaced")
                return outcome(error, message.attempted_at)
        except _RefusedError as refused:
            return refused.outcome
        except (BrokenSettingError, CredentialError) as error:
            is_setting = isinstance(error, BrokenSettingError)
            return Retry("broken_setting" if is_setting else "credentials_unavailable", str(error))
        except AwsError:
            return Retry("thread_unavailable", "the session's thread could not be looked up")
        except FAULTS as error:
            return _fault(error, self.seconds)


@dataclass(slots=True)
class _Post:
    """The post of one message: its calls to Slack and their deadline."""

    slack: Slack
    web: SlackWeb
    message: Message
    content: Sequence[Part]
    deadline: Deadline

    def deliver(self) -> Outcome:
        config, address = self.message.config, self.message.address
        mentioned = config.get("mention_user", False)
        user = self._user() if mentioned or address.kind != "channel" else None
        if address.kind == "channel":
            channel = _checked(channel_id, address.value)
        elif user:
            channel = self.slack.directory.direct_message(self.web, user)
        else:
            return _NOBODY
        threaded = self.message.session_id and config.get("thread_replies", False)
        threads = self.slack.threads() if threaded else None
        thread = threads.first(self.message, channel) if threads else None
        try:
            posted = self._post(channel, user if mentioned else None, thread)
        except SlackApiError as error:
            if _code(error) == "channel_not_found" and user:
                self.slack.directory.forget(self.web, user)
            if _code(error) in THREAD_GONE and thread and threads:
                threads.forget(self.message, channel, thread)
                return Retry("thread_gone", "the session's thread is gone; the next one is new")
            raise
        ids = {name: posted[name] for name in ("channel", "ts") if _is_id(posted.get(name))}
        if threads and not thread and "ts" in ids:
            # The message is posted: no later error may make it look undelivered.
            with suppress(*AwsError, TimeoutError):
                self.deadline.require(TIME_TO_REMEMBER)
                threads.begin(self.message, channel, ids["ts"])
        return Delivered(ids | ({"thread_ts": thread} if thread else {}))

    def _user(self) -> str | None:
        """Return the Slack user whom the message is for, also if it goes to a channel."""
        kind, value = self.message.address
        config = self.message.config
        if known := value if kind == "slack_user" else config.get("slack_user_id"):
            return _checked(slack_user_id, known)
        email = value if kind == "email" else config.get("user_email")
        email = email or email_of(self.message.user_id, self.slack.environ)
        return self.slack.directory.user(self.web, email) if email else None

    def _post(self, channel: str, mentioned: str | None, thread: str | None) -> Mapping[str, Any]:
        for room in ROOMS:
            try:
                response = self.web.chat_postMessage(
                    channel=channel,
                    blocks=_blocks(self.message, mentioned, self.content, room),
                    text=_text(self.message, mentioned, self.content),
                    mrkdwn=False,
                    thread_ts=thread,
                    parse="none",
                    unfurl_links=False,
                    unfurl_media=False,
                    metadata={
                        "event_type": "integration_message",
                        "event_payload": {"delivery_id": self.message.delivery_id},
                    },
                )
            except SlackApiError as error:
                if _code(error) not in TOO_LONG or room == ROOMS[-1]:
                    raise
            else:
                break
        data: Any = response.data
        return data if isinstance(data, dict) else {}


def _token(credentials: Credentials, secret: str) -> str:
    token = credentials.read(secret)
    if not _TOKEN.fullmatch(token):
        raise CredentialError(
            f"the secret that {PARAMETER} names is not a bot token: it is not ASCII"
        )
    return token


def _api_url(environ: Mapping[str, str]) -> str:
    url = environ.get("SLACK_API_URL", "") or PUBLIC
    try:
        check_base_url(url)
    except ValueError:
        raise BrokenSettingError(
            "SLACK_API_URL", f"is {url!r}: set it to a URL such as {PUBLIC}, or leave it empty"
        ) from None
    return url


def _checked(rule: Callable[[str, Mapping[str, str]], str], value: str) -> str:
    try:
        return rule(value, {})
    except ValueError as error:
        raise _RefusedError(Permanent("invalid_address", f"the address {error}")) from None


def _fault(error: BaseException, seconds: float) -> Retry:
    # urllib wraps the original error, including timeouts.
    if isinstance(error, TimeoutError) or isinstance(getattr(error, "reason", None), TimeoutError):
        return Retry("timeout", f"Slack did not respond within {seconds:g} s")
    if isinstance(error, OSError | http.client.HTTPException):
        return Retry("connection_failed", "the connection to Slack failed")
    return Retry("invalid_answer", "Slack's response is invalid")


def _blocks(
    message: Message, mentioned: str | None, content: Sequence[Part], room: int
) -> list[dict[str, Any]]:
    """Return the blocks of a message: mention and bold subject, content, agent."""
    head: list[dict[str, Any]] = [{"type": "user", "user_id": mentioned}] if mentioned else []
    if subject := one_line(message.subject or ""):
        subject = f" {subject}" if mentioned else subject
        head.append({"type": "text", "text": subject, "style": {"bold": True}})
    section = {"type": "rich_text_section", "elements": head}
    blocks = [{"type": "rich_text", "elements": [section]}] if head else []
    blocks += rich_text.blocks(content, room - ROOM_AROUND, MOST_BLOCKS - 2)
    if agent := _agent(message):
        named = {"type": "plain_text", "text": f"from {agent}", "emoji": False}
        blocks.append({"type": "context", "elements": [named]})
    return blocks


def _agent(message: Message) -> str:
    return one_line(message.agent_id or "") if message.shows_agent else ""


def _text(message: Message, mentioned: str | None, content: Sequence[Part]) -> str:
    """Return the beginning of the message for push alerts, escaped as Slack requires."""
    mention = f"<@{mentioned}> " if mentioned else ""
    subject = one_line(message.subject or "")
    words = "\n".join(filter(None, [subject, *(part.text for part in content)]))
    _, end = next(rich_text.cuts(words, LONGEST_TEXT), (0, 0))
    shown = words[:end] + (" …" if words[end:].strip() else "")
    return mention + shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def outcome(error: SlackApiError, now: float) -> Outcome:
    """Return the outcome for an error of Slack; only its code appears in the history."""
    code, response = _code(error), error.response
    status = response.status_code
    if status != 200 and code == "invalid_answer":
        code = f"http_{status}"
    if status in RETRIED or status >= 500 or code in TRANSIENT:
        from channels.webhook import retry_after

        headers = {name.lower(): value for name, value in response.headers.items()}
        wish = retry_after(headers.get("retry-after"), now)
        return Retry(code, f"Slack returned {code}", after=wish)
    hint = HINTS.get(code)
    return Permanent(code, f"Slack returned {code}" + (f": {hint}" if hint else ""))


def _code(error: SlackApiError) -> str:
    code = error.response.get("error")
    return code if isinstance(code, str) and _CODE.fullmatch(code) else "invalid_answer"


def _is_id(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 64


def channel(environ: Mapping[str, str], aws: ClientFactory) -> Channel:
    """Build the channel from the function's environment."""
    return Slack(
        environ=environ,
        credentials=Credentials(aws, PARAMETER),
        threads=lambda: Threads(aws("dynamodb"), environ["DELIVERIES_TABLE"]),
    )


def probe(environ: Mapping[str, str], aws: ClientFactory) -> None:
    """Check the bot token with Slack; raise ``UnavailableError`` with the reason."""
    try:
        url = _api_url(environ)
        token = _token(Credentials(aws, PARAMETER, ttl=0), environ.get(TOKEN_SECRET, ""))
        SlackWeb(token, url, Deadline(PROBE_SECONDS, time.monotonic), reserve=0.1).auth_test()
    except (BrokenSettingError, CredentialError) as error:
        raise UnavailableError(str(error)) from None
    except SlackApiError as error:
        raise UnavailableError(outcome(error, 0).detail) from None
    except FAULTS:
        raise UnavailableError("Slack did not respond") from None
