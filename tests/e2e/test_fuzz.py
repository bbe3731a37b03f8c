"""Generated questions: whatever is asked, the answer is one that the document tells of."""

from __future__ import annotations

from tools.fuzz import fuzz


def test_the_api_keeps_to_its_document(stack, tmp_path):
    """No 5xx, no undocumented answer, nothing valid refused, nothing invalid accepted.

    `make fuzz` asks thousands; here some hundreds, always the same.
    """
    verdict = fuzz(
        stack["api_url"],
        home=tmp_path,
        cases=300,
        seed=1,
        phases="examples,fuzzing,stateful",
    )

    assert verdict.passed, verdict.output
    assert verdict.cases >= 300
