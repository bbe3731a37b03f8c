"""Seals secrets with KMS, bound to their user and integration type by the encryption context."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from dispatcher.adapters.aws import unavailable_if_it_fails
from dispatcher.errors import SealedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_kms import KMSClient

    from dispatcher.strict_json import JsonObject

LARGEST_CHUNK = 4096
"""Bytes that KMS encrypts in one call."""

REFUSALS = frozenset(
    {
        "AccessDeniedException",
        "DisabledException",
        "IncorrectKeyException",
        "InvalidCiphertextException",
        "KMSInvalidStateException",
        "NotFoundException",
    }
)
"""KMS error codes that mean that the key cannot decrypt this ciphertext, now or later."""

REMEMBERED = 256
"""Sealed documents that a container keeps open; a change of the override makes new ones."""


class KmsVault:
    """Implements ``ports.Vault``.

    Opened secrets are cached by their ciphertext, never by name or version.
    """

    def __init__(self, kms: Callable[[], KMSClient], key: str) -> None:
        self._kms = kms
        self._key = key
        self._lock = threading.Lock()
        self._open: dict[tuple[str, str, tuple[bytes, ...]], str] = {}

    def seal(self, user_id: str, integration_type: str, secrets: JsonObject) -> tuple[bytes, ...]:
        """Encrypt a JSON object, in chunks of the size that KMS accepts."""
        document = json.dumps(secrets, separators=(",", ":")).encode()
        with unavailable_if_it_fails():
            return tuple(
                self._kms().encrypt(
                    KeyId=self._key,
                    Plaintext=document[start : start + LARGEST_CHUNK],
                    EncryptionContext=_context(user_id, integration_type),
                )["CiphertextBlob"]
                for start in range(0, len(document), LARGEST_CHUNK)
            )

    def open(self, user_id: str, integration_type: str, sealed: tuple[bytes, ...]) -> JsonObject:
        """Decrypt the chunks of ``seal``."""
        name = (user_id, integration_type, sealed)
        text = self._open.get(name)
        if text is None:
            with unavailable_if_it_fails(), _sealed_for_good():
                chunks = [
                    self._kms().decrypt(
                        KeyId=self._key,
                        CiphertextBlob=chunk,
                        EncryptionContext=_context(user_id, integration_type),
                    )["Plaintext"]
                    for chunk in sealed
                ]
            text = b"".join(chunks).decode(errors="replace")
            with self._lock:
                while len(self._open) >= REMEMBERED:
                    self._open.pop(next(iter(self._open)))
                self._open[name] = text
        try:
            document: JsonObject = json.loads(text)
        except ValueError as error:
            raise SealedError("the sealed secrets of an override are damaged") from error
        return document


@contextmanager
def _sealed_for_good() -> Iterator[None]:
    """Raise ``SealedError`` for a lasting refusal, ``UnavailableError`` for a temporary fault."""
    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in REFUSALS:
            raise SealedError(f"Decrypt failed: {code}") from error
        raise


def _context(user_id: str, integration_type: str) -> dict[str, str]:
    return {"user_id": user_id, "integration_type": integration_type}
