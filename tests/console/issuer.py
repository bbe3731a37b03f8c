"""An OpenID Connect issuer on loopback with a sign-in that takes no password.

It follows the authorization code flow with PKCE, and refuses what the standard refuses.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt

from tests.issuer import AUDIENCE, private_key, published
from tools.loopback import LoopbackServer

CLIENT = "console"
SCOPES = "dispatch:read dispatch:write dispatch:send"


class SignInServer:
    """An issuer whose ``person`` is signed in, or ``None``; ``asked`` holds each request."""

    def __init__(self):
        self.person = "ada"
        self.scopes = SCOPES
        self.lifetime = 3600
        self.wrong = {}
        self.asked = []
        self.codes = {}
        self.redirects = set()
        self._server = LoopbackServer(_handler(self))
        self.origin = self._server.origin

    def __enter__(self):
        """Begin to listen."""
        self._server.start()
        return self

    def __exit__(self, *_):
        """Stop."""
        self._server.stop()

    def token(self, **members):
        """Return an access token."""
        now = int(time.time())
        claims = {
            "iss": self.origin,
            "aud": AUDIENCE,
            "sub": self.person,
            "scope": self.scopes,
            "iat": now,
            "exp": now + self.lifetime,
            **members,
        }
        return jwt.encode(claims, private_key("RS256"), "RS256", {"kid": "rsa-1"})

    def discovery(self):
        """Return the document that names the endpoints."""
        return {
            "issuer": self.origin,
            "authorization_endpoint": f"{self.origin}/authorize",
            "token_endpoint": f"{self.origin}/token",
            "jwks_uri": f"{self.origin}/keys",
        }

    def authorize(self, query):
        """Return where the browser is sent: with a code, or with ``login_required``."""
        given = {name: values[0] for name, values in parse_qs(query).items()}
        assert given["response_type"] == "code"
        assert given["client_id"] == CLIENT
        assert given["code_challenge_method"] == "S256"
        assert given["redirect_uri"] in self.redirects
        answer = {"state": self.wrong.get("state", given["state"])}
        if self.person is None:
            assert given.get("prompt") == "none", "a person has to sign in first"
            answer["error"] = "login_required"
        else:
            code = secrets.token_urlsafe(16)
            self.codes[code] = given
            answer["code"] = code
        return f"{given['redirect_uri']}?{urlencode(answer)}"

    def exchange(self, body):
        """Return status and tokens for a code; a code works once, with its verifier."""
        given = {name: values[0] for name, values in parse_qs(body).items()}
        asked = self.codes.pop(given.get("code"), None)
        digest = hashlib.sha256(given.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if (
            asked is None
            or asked["code_challenge"] != challenge
            or given["redirect_uri"] != asked["redirect_uri"]
            or given["client_id"] != CLIENT
        ):
            return 400, {"error": "invalid_grant"}
        nonce = self.wrong.get("nonce", asked["nonce"])
        return 200, {
            "access_token": self.token(),
            "id_token": self.token(aud=CLIENT, nonce=nonce),
            "token_type": "Bearer",
            "expires_in": self.lifetime,
        }


def _handler(issuer):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            """Serve discovery and keys, or send the browser back."""
            parts = urlsplit(self.path)
            issuer.asked.append((self.path, dict(self.headers)))
            if parts.path == "/authorize":
                self.send_response(302)
                self.send_header("Location", issuer.authorize(parts.query))
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            keys = {"keys": [published(private_key("RS256"), kid="rsa-1")]}
            self.reply(200, keys if parts.path == "/keys" else issuer.discovery())

        def do_POST(self):
            """Exchange a code."""
            issuer.asked.append((self.path, dict(self.headers)))
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self.reply(*issuer.exchange(body))

        def reply(self, status, value):
            """Send JSON that any page may read."""
            content = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Access-Control-Allow-Origin", "*")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            """Log nothing."""

    return Handler
