"""Bearer tokens against a real issuer on loopback, and what attackers make of them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import threading
import time
from contextlib import suppress

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from dispatcher.access.authentication import Authentication
from dispatcher.adapters import oidc
from dispatcher.adapters.oidc import OidcTokens
from dispatcher.errors import UnauthenticatedError, UnavailableError
from tests.fakes import FakeClock
from tests.issuer import AUDIENCE, EVERYTHING, ISSUER, Issuer, claims, private_key, published


@pytest.fixture
def issuer():
    """An issuer that publishes an RSA and an EC key."""
    with Issuer() as running:
        yield running


@pytest.fixture
def clock():
    """Time that goes on only when told to."""
    return FakeClock()


@pytest.fixture
def tokens(issuer, clock):
    """The verifier under test."""
    return OidcTokens(issuer=ISSUER, audience=AUDIENCE, jwks_uri=issuer.jwks_uri, clock=clock)


def encoded(value):
    """Write a part of a token."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(header, body=None, *, algorithm="RS256"):
    """Sign any header at all with the published key, as no library would let us."""
    message = f"{encoded(header)}.{encoded(body or claims())}"
    signer = jwt.get_algorithm_by_name(algorithm)
    signature = signer.sign(message.encode(), private_key(algorithm))
    return f"{message}.{encoded(signature)}"


def from_now(members):
    """Return claims whose whole numbers are seconds from now."""
    now = int(time.time())
    return {
        name: now + value if isinstance(value, int) and name != "sub" else value
        for name, value in members.items()
    }


# Good ones ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("algorithm", "kid"), [("RS256", "rsa-1"), ("ES256", "ec-1")])
def test_a_token_of_the_issuer_says_what_it_says(tokens, issuer, algorithm, kid):
    """With either kind of key."""
    said = tokens.claims(issuer.token(algorithm=algorithm, kid=kid, sub="jane.doe"))

    shown = {name: said[name] for name in ("iss", "aud", "sub", "scope")}
    assert shown == {"iss": ISSUER, "aud": AUDIENCE, "sub": "jane.doe", "scope": EVERYTHING}


@pytest.mark.parametrize(
    "members",
    [
        {"aud": ["other", AUDIENCE]},
        {"iat": None},
        {"nbf": 20},
        {"exp": -20},
        {"iat": 20},
    ],
    ids=str,
)
def test_clocks_may_differ_by_half_a_minute(tokens, issuer, members):
    """Times are given from now; one audience of several is enough."""
    assert tokens.claims(issuer.token(**from_now(members)))["sub"] == "john.doe"


# Bad ones -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "members",
    [
        {"exp": -31},
        {"exp": None},
        {"exp": "soon"},
        {"exp": 1e400},
        {"exp": [1]},
        {"nbf": 40},
        {"nbf": "x"},
        {"iat": 40},
        {"iss": None},
        {"iss": "https://id.example.com/"},
        {"iss": "https://evil.example.com"},
        {"iss": [ISSUER]},
        {"aud": None},
        {"aud": "other"},
        {"aud": ["other"]},
        {"aud": []},
        {"aud": AUDIENCE.upper()},
        {"sub": 5},
    ],
    ids=str,
)
def test_a_claim_that_does_not_hold_refuses_the_token(tokens, issuer, members):
    """Every one of them is demanded, of the right type; times are given from now."""
    token = signed({"alg": "RS256", "kid": "rsa-1"}, claims(**from_now(members)))

    with pytest.raises(UnauthenticatedError):
        tokens.claims(token)


NUMBERS = [
    *("1" + "0" * 400, "-1" + "0" * 400, "9" * 4299, "9" * 5000, "1e308", "-1e308", "1e400"),
    *("-1e400", "1e-400", "1e999999999", "NaN", "Infinity", "-Infinity", "true", "null", "[]"),
    *("{}", "[1e400]", '""', '"NaN"', '"Infinity"', '"1e400"', '"\\ud800"', '"' + "9" * 400 + '"'),
]
"""Texts of JSON, and of what some readers take for JSON, in place of a number."""


def with_number(fields, name, number):
    """Write an object of JSON in which one member has this text as its value."""
    others = {other: value for other, value in fields.items() if other != name}
    return json.dumps(others)[:-1] + f', "{name}": {number}}}'


@pytest.mark.parametrize("claim", ["exp", "nbf", "iat", "auth_time", "sub", "aud", "jti", "scope"])
def test_a_number_beyond_all_numbers_is_no_fault_of_ours(tokens, claim):
    """A signed token whose claims hold any number is accepted or refused, never 503."""
    callers = Authentication(
        tokens=lambda: tokens, keys=None, sessions=lambda: None, user_claim="sub", clock=FakeClock()
    )
    accepted = []
    for number in NUMBERS:
        body = with_number(claims(), claim, number).encode()
        token = signed({"alg": "RS256", "kid": "rsa-1"}, body)
        with suppress(UnauthenticatedError):
            callers.caller([f"Bearer {token}"], [])
            accepted.append(number)

    if claim == "exp":
        assert accepted == ["1e308"]


@pytest.mark.parametrize("member", ["n", "e", "kid", "use", "alg", "kty", "x5c", "other"])
def test_numbers_of_a_key_set_take_no_other_key_away(issuer, member):
    """A key that cannot be read is passed over; a key set that is not JSON is unavailable."""
    good = json.dumps(published(private_key("RS256"), kid="rsa-1"))
    bad = published(private_key("RS256", 1), kid="rsa-2")
    said = set()
    for number in NUMBERS:
        text = with_number(bad, member, number)
        issuer.document = f'{{"keys": [{text}, {good}]}}'.encode()
        fresh = OidcTokens(
            issuer=ISSUER, audience=AUDIENCE, jwks_uri=issuer.jwks_uri, clock=FakeClock()
        )
        try:
            said.add(fresh.claims(issuer.token())["sub"])
        except UnavailableError as error:
            said.add(str(error))

    assert said == {"john.doe", "the issuer's keys are not JSON"}


@pytest.mark.parametrize("member", ["alg", "kid", "typ", "crit", "x"])
def test_numbers_in_a_header_refuse_the_token(tokens, member):
    """The header is read before the signature: whatever it holds, the token is refused or good."""
    header = {"alg": "RS256", "kid": "rsa-1"}
    accepted = []
    for number in NUMBERS:
        token = signed(with_number(header, member, number).encode())
        with suppress(UnauthenticatedError):
            accepted.append(tokens.claims(token)["sub"])

    assert set(accepted) == ({"john.doe"} if member in {"typ", "x"} else set())


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none", "kid": "rsa-1"},
        {"alg": "NONE", "kid": "rsa-1"},
        {"alg": "None", "kid": "rsa-1"},
        {"alg": "HS256", "kid": "rsa-1"},
        {"alg": "RS512", "kid": "rsa-1"},
        {"alg": "PS256", "kid": "rsa-1"},
        {"alg": "ES256", "kid": "rsa-1"},
        {"alg": "RS256", "kid": "ec-1"},
        {"alg": "rs256", "kid": "rsa-1"},
        {"alg": ["RS256"], "kid": "rsa-1"},
        {"alg": None, "kid": "rsa-1"},
        {"kid": "rsa-1"},
        {"alg": "RS256"},
        {"alg": "RS256", "kid": None},
        {"alg": "RS256", "kid": 1},
        {"alg": "RS256", "kid": ["rsa-1"]},
        {"alg": "RS256", "kid": {"a": 1}},
        {"alg": "RS256", "kid": "../../dev/null"},
        {"alg": "RS256", "kid": "rsa-1", "crit": ["b64"], "b64": False},
        {"alg": "RS256", "kid": "rsa-1", "crit": []},
        {"alg": "RS256", "kid": "rsa-1", "crit": ["exp"]},
        b'{"alg": "RS256", "kid": "other", "kid": "rsa-1"}',
        b'{"alg": "none", "alg": "RS256", "kid": "rsa-1"}',
        b'{"alg": "RS256", "kid": "rsa-1"} {}',
        b'["RS256", "rsa-1"]',
        b"null",
        b"",
        b"\xff\xfe",
        b"[" * 5000,
        b'{"alg": "RS256", "kid": "rsa-1", "x": ' + b"[" * 4000 + b"]" * 4000 + b"}",
    ],
    ids=lambda header: str(header)[:40],
)
def test_a_header_chooses_neither_algorithm_nor_key(tokens, header):
    """A token with a wrong header is rejected even if a published key signed it."""
    with pytest.raises(UnauthenticatedError):
        tokens.claims(signed(header))


def test_a_key_in_the_token_is_not_a_key(tokens):
    """An attacker brings a key, in every way that the standard knows, and signs with it."""
    own = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    jwk = published(own, kid="own")
    headers = [
        {"kid": "own", "jwk": jwk},
        {"kid": "own", "jku": "https://evil.example.com/keys"},
        {"kid": "own", "x5u": "https://evil.example.com/cert"},
        {"kid": "rsa-1", "jwk": jwk},
    ]

    for header in headers:
        token = jwt.encode(claims(), own, algorithm="RS256", headers=header)
        with pytest.raises(UnauthenticatedError):
            tokens.claims(token)


def test_the_public_key_is_no_shared_secret(tokens):
    """The oldest trick: HS256, with the text of the public key as its secret."""
    pem = (
        private_key("RS256")
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    message = f"{encoded({'alg': 'HS256', 'kid': 'rsa-1'})}.{encoded(claims())}"
    forged = hmac.new(pem, message.encode(), hashlib.sha256).digest()

    with pytest.raises(UnauthenticatedError):
        tokens.claims(f"{message}.{encoded(forged)}")


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_a_signature_is_of_the_whole_token(tokens, issuer, algorithm):
    """Other claims, no signature, one of zeros, one of another token."""
    kid = {"RS256": "rsa-1", "ES256": "ec-1"}[algorithm]
    header, body, signature = issuer.token(algorithm=algorithm, kid=kid).split(".")
    other = issuer.token(algorithm=algorithm, kid=kid, sub="jane.doe").split(".")[2]
    admin = encoded(claims(scope="dispatch:admin"))
    forged = [
        f"{header}.{admin}.{signature}",
        f"{header}.{body}.",
        f"{header}.{body}.{encoded(bytes(64))}",
        f"{header}.{body}.{encoded(bytes(256))}",
        f"{header}.{body}.{other}",
        f"{header}.{body}.{signature[:-4]}",
        f"{header}..{signature}",
        f"{header}.{encoded(b'not json')}.{signature}",
    ]

    for token in forged:
        with pytest.raises(UnauthenticatedError):
            tokens.claims(token)


def test_a_refusal_does_not_quote_the_token(tokens, issuer):
    """It is written to the log."""
    with pytest.raises(UnauthenticatedError) as caught:
        tokens.claims(issuer.token(aud="s3cret"))

    assert str(caught.value) == "refused: InvalidAudienceError"
    assert caught.value.__cause__ is None


# The issuer's keys --------------------------------------------------------------------------------


def test_keys_are_fetched_once(tokens, issuer):
    """And kept."""
    for _ in range(5):
        tokens.claims(issuer.token())

    assert issuer.asked == 1


def test_a_new_key_is_fetched_when_it_is_met_at_most_once_a_minute(tokens, issuer, clock):
    """Tokens that name ever new keys cost the issuer one request a minute."""
    tokens.claims(issuer.token())
    rotated = issuer.token(kid="rsa-2", number=2)
    issuer.publish(published(private_key("RS256", 2), kid="rsa-2"))

    for _ in range(20):
        with pytest.raises(UnauthenticatedError):
            tokens.claims(rotated)
    asked_within_the_minute = issuer.asked
    clock.advance(60)

    assert tokens.claims(rotated)["sub"] == "john.doe"
    assert (asked_within_the_minute, issuer.asked) == (1, 2)


def test_a_withdrawn_key_counts_no_longer_than_five_minutes(tokens, issuer, clock):
    """A token of a withdrawn key is rejected after five minutes at the latest."""
    token = issuer.token()
    tokens.claims(token)
    issuer.publish(published(private_key("RS256", 2), kid="rsa-2"))
    clock.advance(299)
    tokens.claims(token)
    clock.advance(1)

    with pytest.raises(UnauthenticatedError):
        tokens.claims(token)


def test_known_keys_go_on_while_the_issuer_is_away(issuer, clock):
    """Its outage is not ours; of unknown keys we can say nothing then."""
    tokens = OidcTokens(issuer=ISSUER, audience=AUDIENCE, jwks_uri=issuer.jwks_uri, clock=clock)
    tokens.claims(issuer.token())
    issuer.status = 503
    clock.advance(3600)

    assert tokens.claims(issuer.token())["sub"] == "john.doe"
    with pytest.raises(UnavailableError):
        tokens.claims(issuer.token(kid="rsa-2", number=2))


def test_an_issuer_that_comes_back_is_asked_again_soon(tokens, issuer, clock):
    """A failure is remembered for ten seconds, so that not every request waits for it."""
    issuer.status = 503
    for _ in range(3):
        with pytest.raises(UnavailableError):
            tokens.claims(issuer.token())
    issuer.status = 200
    asked = issuer.asked
    clock.advance(10)

    assert tokens.claims(issuer.token())["sub"] == "john.doe"
    assert asked == 1


@pytest.mark.parametrize(
    ("status", "headers", "document"),
    [
        (500, {}, b"{}"),
        (404, {}, b"{}"),
        (302, {"Location": "/elsewhere"}, b"{}"),
        (307, {"Location": "file:///etc/passwd"}, b"{}"),
        (200, {}, b""),
        (200, {}, b"\xff"),
        (200, {}, b"<html>"),
        (200, {}, b"[]"),
        (200, {}, b'{"keys": {}}'),
        (200, {}, b'{"keys": []}'),
        (200, {}, b'{"keys": [], "pad": "' + b"x" * 65_536 + b'"}'),
        (200, {"Content-Length": "5"}, b'{"keys": []}'),
    ],
)
def test_an_answer_without_keys_is_an_outage(tokens, issuer, status, headers, document):
    """A redirect, an error or an endless response of the issuer is an outage."""
    token = issuer.token()
    issuer.status, issuer.headers, issuer.document = status, headers, document

    with pytest.raises(UnavailableError):
        tokens.claims(token)
    assert issuer.asked == 1


@pytest.mark.parametrize(
    "spoilt",
    [
        {"use": "enc"},
        {"alg": "RS512"},
        {"alg": "HS256"},
        {"kid": 5},
        {"kid": None},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": ["RSA"]},
        {"n": "AQAB"},
        {"n": 5},
        {"n": "!!"},
        {"e": None},
    ],
    ids=str,
)
def test_a_key_that_is_not_for_this_is_left_out(tokens, issuer, spoilt):
    """The others of the set still count."""
    ec_key = published(private_key("ES256"), kid="ec-1")
    issuer.publish(published(private_key("RS256"), kid="rsa-1") | spoilt, ec_key)

    assert tokens.claims(issuer.token(algorithm="ES256", kid="ec-1"))["sub"] == "john.doe"
    with pytest.raises(UnauthenticatedError):
        tokens.claims(issuer.token())


def test_short_keys_and_other_curves_are_left_out(tokens, issuer):
    """1024 bits can be factored; another curve is another algorithm."""
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    curve = published(private_key("ES384"), kid="ec-1")
    issuer.publish(published(weak, kid="rsa-1"), curve, published(private_key("RS256"), kid="x"))
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        short = jwt.encode(claims(), weak, algorithm="RS256", headers={"kid": "rsa-1"})

    for token in (short, issuer.token(algorithm="ES384", kid="ec-1")):
        with pytest.raises(UnauthenticatedError):
            tokens.claims(token)


HEADS = {
    "100": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n",
    "102": b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\n",
    "103": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n",
    "203": b"HTTP/1.1 203 Non-Authoritative\r\n",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n",
    "a reason of 80 KiB": b"HTTP/1.1 200 " + b"x" * 80_000 + b"\r\n",
    "101 header fields": b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 101,
    "5,000 header fields": b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 5000,
    "a header field of 100 KiB": b"HTTP/1.1 200 OK\r\nX-A: " + b"b" * 102_400 + b"\r\n",
    "a field without a colon": b"HTTP/1.1 200 OK\r\nnonsense\r\n",
}


def serve(server, *parts, endless=False):
    """Send these parts as a response, the last one until the client closes the connection."""

    def answer():
        line, _ = server.accept()
        with line, suppress(OSError):
            line.recv(65_536)
            for part in parts:
                line.sendall(part)
            while endless:
                line.sendall(parts[-1] * 100)
            # A reset may overtake unread data.
            line.shutdown(socket.SHUT_WR)
            line.recv(1)

    thread = threading.Thread(target=answer)
    thread.start()
    return thread


@pytest.fixture
def answered(clock):
    """A verifier whose issuer responds to one request with these bytes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threads = []

        def start(*parts, **options):
            threads.append(serve(server, *parts, **options))
            uri = f"http://127.0.0.1:{server.getsockname()[1]}/keys"
            return OidcTokens(issuer=ISSUER, audience=AUDIENCE, jwks_uri=uri, clock=clock)

        yield start
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_a_key_set_may_come_behind_any_legal_head(issuer, answered, head, chunked):
    """Interim responses are skipped, and large header blocks cost no key set."""
    size = len(issuer.document)
    framed = (
        b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\nX-A: b\r\n\r\n"
        if chunked
        else b"Content-Length: %d\r\n\r\n%s"
    ) % (size, issuer.document)

    assert answered(head, framed).claims(issuer.token())["sub"] == "john.doe"


def test_endless_trailers_take_no_key_set_away(issuer, answered):
    """The keys have arrived: what follows them is not read."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"%x\r\n%s\r\n0\r\n" % (len(issuer.document), issuer.document)
    tokens = answered(head, chunks, b"X-A: b\r\n", endless=True)

    assert tokens.claims(issuer.token())["sub"] == "john.doe"


@pytest.mark.parametrize("part", [
    b"HTTP/1.1 100 C\r\n", b"HTTP/1.1 103 E\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"x" * 100,
], ids=["100 lines", "103", "headers", "no line"])  # fmt: skip
def test_an_endless_response_is_an_outage_that_costs_little(issuer, answered, part):
    """The bytes of the issuer's response are counted."""
    tokens = answered(part, endless=True)
    began = time.process_time()

    with pytest.raises(UnavailableError, match="the issuer's keys"):
        tokens.claims(issuer.token())
    assert time.process_time() - began < 3


def test_an_issuer_that_does_not_answer_is_waited_for_only_so_long(monkeypatch, clock, issuer):
    """It accepts the connection and says nothing: the watchdog ends it."""
    monkeypatch.setattr(oidc, "FETCH_WITHIN", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        uri = f"http://127.0.0.1:{mute.getsockname()[1]}/keys"
        tokens = OidcTokens(issuer=ISSUER, audience=AUDIENCE, jwks_uri=uri, clock=clock)

        with pytest.raises(UnavailableError):
            tokens.claims(issuer.token())


def test_an_issuer_that_is_gone_is_an_outage(clock):
    """A refused connection to the issuer is an outage."""
    with Issuer() as gone:
        uri, token = gone.jwks_uri, gone.token()
    tokens = OidcTokens(issuer=ISSUER, audience=AUDIENCE, jwks_uri=uri, clock=clock)

    with pytest.raises(UnavailableError, match="the issuer's keys: ConnectionRefusedError"):
        tokens.claims(token)
