"""A workspace on loopback: the four methods of Slack's Web API that the dispatcher calls.

It refuses what Slack refuses (a wrong token, an unknown channel, blocks beyond the limits) and
keeps what was posted. ``script`` puts other responses in front: errors, pages, silence.
"""

from __future__ import annotations

import itertools
import json
import re
import threading
from collections import defaultdict, deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl

from tools.loopback import LoopbackServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TOKEN = "xoxb-local-workspace"

LONGEST_BLOCK = 3000
LONGEST_URL = 3000
LONGEST_TEXT = 40_000
MOST_BLOCKS = 50
LONGEST_BLOCKS = 13_200
"""Characters of all blocks as JSON: undocumented, and measured by people who ran into it."""
DEEPEST_LIST = 8

STYLES = {"bold", "italic", "strike", "code"}
INLINE = {"text", "link", "user"}
"""The elements of rich text that the dispatcher sends."""

_MENTION = re.compile(r"<[@!#][^>]*>")
_URL = re.compile(r"(https?://[^/?#\s]+\S*|mailto:\S+@\S+)")


@dataclass(frozen=True)
class Response:
    """The response in place of the method's normal response.

    ``acts`` does first what the method does; ``hangs`` says nothing until the server stops, and
    ``drops`` nothing at all.
    """

    body: bytes | Mapping[str, Any] = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    acts: bool = False
    hangs: bool = False
    drops: bool = False


def error(code: str, status: int = 200, **headers: str) -> Response:
    """Make a refusal in Slack's form."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response({"ok": False, "error": code}, status, named)


@dataclass(frozen=True)
class Post:
    """A message in a channel."""

    channel: str
    ts: str
    request: Mapping[str, Any]

    @property
    def blocks(self) -> list[str]:
        """Return what a person reads in each block; bold and the like are not shown."""
        return ["\n".join(_read(block)) for block in self.request["blocks"]]

    @property
    def shown(self) -> str:
        """Return what a person reads."""
        return "\n".join(self.blocks)

    @property
    def mentions(self) -> list[str]:
        """Return the users whom the message mentions, in its blocks and its preview text."""
        called = [
            f"<@{element['user_id']}>"
            for block in self.request["blocks"]
            for element in _inline(block)
            if element["type"] == "user"
        ]
        return called + _MENTION.findall(self.request["text"])


def _read(block: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a block as Slack's own client lays them out."""
    for part in block["elements"]:
        border = "│ " if part.get("border") or part["type"] == "rich_text_quote" else ""
        match part["type"]:
            case "plain_text":
                yield part["text"]
            case "rich_text_list":
                for number, item in enumerate(part["elements"], part.get("offset", 0) + 1):
                    mark = _number(number, part["indent"]) if part["style"] == "ordered" else "•"
                    yield f"{border}{'    ' * part['indent']}{mark} {_words(item)}"
            case _:
                yield "\n".join(border + line for line in _words(part).split("\n"))


def _number(number: int, indent: int) -> str:
    # The client counts in letters within lists; Roman numerals are not needed here.
    return f"{number}." if not indent else f"{chr(ord('a') + (number - 1) % 26)}."


def _words(part: Mapping[str, Any]) -> str:
    return "".join(
        f"@{element['user_id']}" if element["type"] == "user" else element["text"]
        for element in part["elements"]
    )


def _inline(block: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for part in block["elements"]:
        if part["type"] == "rich_text_list":
            yield from _inline(part)
        else:
            yield from part.get("elements", ())


def is_sound(block: Mapping[str, Any]) -> bool:
    """Return whether a block has the form that Slack documents."""
    if block["type"] == "context":
        texts = [element["text"] for element in block["elements"]]
        return all(element["type"] == "plain_text" for element in block["elements"]) and all(texts)
    if block["type"] != "rich_text" or not block["elements"]:
        return False
    length = sum(len(element.get("text", "")) for element in _inline(block))
    return length <= LONGEST_BLOCK and all(map(_is_sound_part, block["elements"]))


def _is_sound_part(part: Mapping[str, Any]) -> bool:
    inner = part["elements"]
    match part["type"]:
        case "rich_text_list":
            return (
                bool(inner)
                and part["style"] in {"bullet", "ordered"}
                and 0 <= part["indent"] <= DEEPEST_LIST
                and part.get("offset", 0) >= 0
                and all(item["type"] == "rich_text_section" for item in inner)
                and all(map(_is_sound_part, inner))
            )
        case "rich_text_preformatted":
            allowed = INLINE - {"user"}
        case "rich_text_section" | "rich_text_quote":
            allowed = INLINE
        case _:
            return False
    return bool(inner) and all(
        element["type"] in allowed
        and element.get("text") != ""
        and set(element.get("style", ())) <= STYLES
        and (
            element["type"] != "link"
            or (len(element["url"]) <= LONGEST_URL and _URL.fullmatch(element["url"]))
        )
        for element in inner
    )


class FakeSlackServer:
    """The workspace; a context manager that listens at ``url``."""

    def __init__(
        self, *, users: Mapping[str, str], channels: tuple[str, ...] = (), port: int = 0
    ) -> None:
        self.users = dict(users)
        self.channels = set(channels)
        self.token = TOKEN
        self.posts: list[Post] = []
        self.calls: list[str] = []
        self._scripts: defaultdict[str, deque[Response]] = defaultdict(deque)
        self._released = threading.Event()
        self._counter = itertools.count(1)
        self._server = LoopbackServer(_handler(self), port)

    @property
    def url(self) -> str:
        """Return the replacement of ``https://slack.com/api/``."""
        return f"{self._server.origin}/api/"

    def script(self, method: str, *answers: Response) -> None:
        """Script the responses to the next calls of a method."""
        self._scripts[method].extend(answers)

    def __enter__(self) -> Self:
        """Begin to listen."""
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop responding; a waiting caller is disconnected."""
        self._released.set()
        self._server.stop()

    def answer(self, method: str, token: str, request: Mapping[str, Any]) -> Response:
        """Respond to one call."""
        self.calls.append(method)
        scripted = self._scripts[method].popleft() if self._scripts[method] else None
        if scripted and scripted.hangs:
            self._released.wait(30)
        if scripted and not scripted.acts:
            return scripted
        own = self._act(method, token, request)
        return scripted or Response(own)

    def _act(self, method: str, token: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        if token != self.token:
            return {"ok": False, "error": "invalid_auth" if token else "not_authed"}
        match method:
            case "auth.test":
                return {"ok": True, "team": "local", "user": "dispatcher"}
            case "users.lookupByEmail":
                user = self.users.get(request["email"])
                found = {"ok": True, "user": {"id": user}}
                return found if user else {"ok": False, "error": "users_not_found"}
            case "conversations.open":
                if request["users"] not in self.users.values():
                    return {"ok": False, "error": "user_not_found"}
                channel = "D" + request["users"][1:]
                self.channels.add(channel)
                return {"ok": True, "channel": {"id": channel}}
            case "chat.postMessage":
                return self._post(request)
        return {"ok": False, "error": "unknown_method"}

    def _post(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        if refused := self._refusal(request):
            return {"ok": False, "error": refused}
        post = Post(request["channel"], f"1800000000.{next(self._counter):06}", request)
        self.posts.append(post)
        return {"ok": True, "channel": post.channel, "ts": post.ts, "message": {}}

    def _refusal(self, request: Mapping[str, Any]) -> str | None:
        thread = request.get("thread_ts")
        if request["channel"] not in self.channels:
            return "channel_not_found"
        if thread and thread not in {post.ts for post in self.posts}:
            return "thread_not_found"
        blocks = request["blocks"]
        if len(blocks) > MOST_BLOCKS or not all(map(is_sound, blocks)):
            return "invalid_blocks"
        if len(json.dumps(blocks, ensure_ascii=False)) > LONGEST_BLOCKS:
            return "msg_blocks_too_long"
        return "msg_too_long" if len(request["text"]) > LONGEST_TEXT else None


def _handler(server: FakeSlackServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            is_json = self.headers.get("Content-Type", "").startswith("application/json")
            request = json.loads(body) if is_json and body else dict(parse_qsl(body))
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            answer = server.answer(self.path.rpartition("/")[2], token, request)
            if answer.drops or answer.hangs:
                self.close_connection = True
                return
            content = answer.body
            if not isinstance(content, bytes):
                content = json.dumps(content).encode()
            self.send_response(answer.status)
            for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            try:
                self.wfile.write(content)
            except ConnectionError:
                # The client has read enough.
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Say nothing: what came is in ``calls`` and ``posts``."""

    return Handler
