"""identity-unverified: one user's token opened another user's connection."""

import pytest

from tests.conversation import judged, one, user
from wscheck.detect.rules import REGISTRY
from wscheck.model.findings import Confidence, Severity

Rule = REGISTRY["identity-unverified"]


def test_a_foreign_token_that_is_accepted() -> None:
    found = one(judged(Rule, user("B").connects("s1", at=0, credential="foreign")))
    assert (found.user, found.severity, found.confidence) == ("B", Severity.ERROR, Confidence.HIGH)
    assert found.message == "connected with a token that belongs to another user"


@pytest.mark.parametrize("credential", ["own", "invalid", None])
def test_other_credentials_are_no_finding(credential: str | None) -> None:
    assert judged(Rule, user("A").connects("s1", at=0, credential=credential)) == []


def test_a_foreign_token_that_is_refused() -> None:
    assert judged(Rule, user("B").attempts(at=0, credential="foreign").is_refused(at=0.1)) == []


def test_two_sources_report_one_connection() -> None:
    conversation = user("B").connects("s1", at=0, credential="foreign")
    conversation.seen_by("server-log").connects("s1", at=0.01, credential="foreign")
    assert one(judged(Rule, conversation)).count == 1


def test_it_is_found_although_a_replacement_record_named_the_connection_first() -> None:
    conversation = (
        user("B").connects("s0", at=0).is_replaced("s0", "s1", at=1).connects("s1", at=1, credential="foreign")
    )
    assert one(judged(Rule, conversation)).count == 1


def test_500_such_connections_are_one_finding_and_need_no_clock() -> None:
    conversation = user("B")
    for n in range(500):
        conversation.connects(f"s{n}", at=None, credential="foreign")
    assert one(judged(Rule, conversation)).count == 500
