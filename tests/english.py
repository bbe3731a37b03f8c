"""Text that compresses about as well as English, for tests of row sizes."""

from __future__ import annotations

import hashlib

_COMMON = """
the to of and a in is that for it on with as was at be by this have from or had not are but what all
were when we there can an your which their said if do will each about how up out them then she many
some so these would other into has more her two like him see time could no make than first been its
who now people my made over did down only way find use may water long little very after words called
just where most know order answer warehouse morning reach Thursday follow question delivery customer
support agent invoice payment account shipment tracking number carrier address package returned
refund received processing status update schedule appointment confirm cancel request service
available between because before should through different however important information together
company product quality problem solution contact email phone message please thank regards team
**note** https://example.com/orders/4711 details below change settings preference report
"""
WORDS = tuple(_COMMON.split())


def text(size: int) -> str:
    """Return so many bytes of text that compress about as well as English prose."""
    words: list[str] = []
    length = 0
    while length < size:
        digest = hashlib.sha256(str(len(words)).encode()).digest()
        # Half of a text's words are a few short ones.
        pick = digest[1] % (16 if digest[0] % 2 else len(WORDS))
        words.append(WORDS[pick])
        length += len(words[-1]) + 1
    return " ".join(words)[:size].ljust(size, ".")
