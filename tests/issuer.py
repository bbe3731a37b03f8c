"""An OpenID Connect issuer on loopback: it publishes keys over HTTP, and signs tokens with them."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from tools.loopback import LoopbackServer

if TYPE_CHECKING:
    from typing import Self

ISSUER = "https://id.example.com"
AUDIENCE = "dispatcher"
EVERYTHING = "dispatch:read dispatch:write dispatch:send"


def private_key(algorithm: str, number: int = 0) -> Any:
    """Make a key, once: RSA keys take their time; ``number`` makes another one."""
    return _made(algorithm, number)


@cache
def _made(algorithm: str, _number: int) -> Any:
    if algorithm.startswith("ES"):
        return ec.generate_private_key(ec.SECP384R1() if algorithm == "ES384" else ec.SECP256R1())
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def published(key: Any, **members: Any) -> dict[str, Any]:
    """Return the public half of a key as a key set holds it."""
    kind = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    return {**kind.to_jwk(key.public_key(), as_dict=True), "use": "sig", **members}


def claims(**members: Any) -> dict[str, Any]:
    """Return the claims of a token of john.doe, who has all rights to their own data."""
    now = int(time.time())
    usual = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "john.doe",
        "scope": EVERYTHING,
        "iat": now,
        "exp": now + 3600,
    }
    return {name: value for name, value in {**usual, **members}.items() if value is not None}


@dataclass
class Issuer:
    """Serves a key set; ``document`` is the body, ``status`` and ``headers`` the head."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    asked: int = 0
    """How often its keys were asked for."""
    document: bytes = b""

    def __post_init__(self) -> None:
        """Publish a key of each kind."""
        self.publish(
            published(private_key("RS256"), kid="rsa-1"),
            published(private_key("ES256"), kid="ec-1"),
        )

    def publish(self, *keys: dict[str, Any]) -> None:
        """Replace the key set."""
        self.document = json.dumps({"keys": keys}).encode()

    def token(
        self, *, algorithm: str = "RS256", kid: str = "rsa-1", number: int = 0, **members: Any
    ) -> str:
        """Sign a token; ``None`` leaves a claim out."""
        key = private_key(algorithm, number)
        return jwt.encode(claims(**members), key, algorithm=algorithm, headers={"kid": kid})

    @property
    def jwks_uri(self) -> str:
        """Where the keys are."""
        return f"{self._server.origin}/keys"

    def __enter__(self) -> Self:
        """Listen."""
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += 1
                self.send_response(issuer.status)
                for name, value in issuer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(issuer.document)))
                self.end_headers()
                self.wfile.write(issuer.document)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = LoopbackServer(Handler)
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Hang up: from now on no server responds there."""
        self._server.stop()
