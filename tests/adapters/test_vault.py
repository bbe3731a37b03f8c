"""Secrets sealed by KMS."""

from __future__ import annotations

import pytest
from botocore.stub import Stubber

from dispatcher.adapters.kms import KmsVault
from dispatcher.errors import SealedError, UnavailableError


@pytest.fixture
def kms(aws):
    """A KMS client, and the calls that it received."""
    client = aws("kms")
    client.calls = []
    client.meta.events.register(
        "before-call.kms", lambda model, **_: client.calls.append(model.name)
    )
    return client


@pytest.fixture
def vault(kms):
    """A vault with a separate key."""
    key = kms.create_key()["KeyMetadata"]["Arn"]
    kms.calls.clear()
    return KmsVault(lambda: kms, key)


SECRETS = {"config": {"headers": {"Authorization": "Bearer é"}}, "issued": {"signing_secret": "s"}}


def test_what_was_sealed_opens_for_its_owner(vault):
    """The document comes back whole, and its ciphertext does not show it."""
    sealed = vault.seal("ada", "WEBHOOK", SECRETS)

    opened = vault.open("ada", "WEBHOOK", sealed)

    assert opened == SECRETS
    assert b"Bearer" not in b"".join(sealed)


@pytest.mark.parametrize(("user_id", "kind"), [("bob", "WEBHOOK"), ("ada", "SLACK")])
def test_nobody_else_can_open_it(vault, user_id, kind):
    """A document copied to another user or integration type stays shut."""
    sealed = vault.seal("ada", "WEBHOOK", SECRETS)

    with pytest.raises(SealedError, match="InvalidCiphertextException"):
        vault.open(user_id, kind, sealed)


def test_a_long_document_is_sealed_in_pieces(vault, kms):
    """KMS takes 4,096 bytes a call; 10,000 make three."""
    secrets = {"config": {"url": "x" * 10_000}}

    sealed = vault.seal("ada", "WEBHOOK", secrets)

    assert (len(sealed), kms.calls) == (3, ["Encrypt"] * 3)
    assert vault.open("ada", "WEBHOOK", sealed) == secrets


def test_a_document_is_decrypted_once_per_container(vault, kms):
    """Opening it again costs no call; each caller gets a separate copy."""
    sealed = vault.seal("ada", "WEBHOOK", SECRETS)
    vault.open("ada", "WEBHOOK", sealed)["issued"].clear()

    again = vault.open("ada", "WEBHOOK", sealed)

    assert again == SECRETS
    assert kms.calls == ["Encrypt", "Decrypt"]


def test_a_container_does_not_remember_without_end(vault, kms):
    """After 256 other documents the first one is decrypted again."""
    first, *others = [vault.seal("ada", "WEBHOOK", {"n": number}) for number in range(257)]
    for sealed in (first, *others):
        vault.open("ada", "WEBHOOK", sealed)
    kms.calls.clear()

    vault.open("ada", "WEBHOOK", others[-1])
    vault.open("ada", "WEBHOOK", first)

    assert kms.calls == ["Decrypt"]


def test_a_fault_that_may_pass_is_no_refusal(vault, kms):
    """A key that is throttled will open the document later; one that refuses will not."""
    sealed = vault.seal("ada", "WEBHOOK", SECRETS)
    with Stubber(kms) as stubber:
        stubber.add_client_error("decrypt", "ThrottlingException")

        with pytest.raises(UnavailableError) as raised:
            vault.open("ada", "WEBHOOK", sealed)

    assert (type(raised.value), str(raised.value)) == (
        UnavailableError,
        "Decrypt failed: ThrottlingException",
    )


def test_a_damaged_document_is_not_half_used(vault, kms):
    """Pieces that decrypt to something else than JSON count as out of reach."""
    sealed = vault.seal("ada", "WEBHOOK", {"config": {"url": "x" * 10_000}})

    with pytest.raises(SealedError, match="damaged"):
        vault.open("ada", "WEBHOOK", sealed[:2])
