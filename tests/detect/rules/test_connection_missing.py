"""connection-missing: a page that needs a connection has none."""

import pytest

from tests.conversation import Conversation, judged, one, user
from wscheck.detect.rules import REGISTRY
from wscheck.model.findings import Severity

Rule = REGISTRY["connection-missing"]


def test_a_user_who_should_be_connected_and_is_not() -> None:
    found = one(judged(Rule, user("A").is_refused(at=0).expects("connected", at=1)))
    assert (found.user, found.severity) == ("A", Severity.ERROR)
    assert found.message == "has no connection although the page needs one"


@pytest.mark.parametrize(
    ("conversation", "why"),
    [
        (user("A").is_refused(at=0, message="berth taken"), ': the server refused it ("berth taken")'),
        (user("A").is_refused(at=0, message="berth taken", credential="altered"), ""),
        (user("A").is_refused(at=0, message="berth taken").connects("s1", at=1).disconnects("s1", at=2), ""),
        (user("A").is_refused(at=0), ""),
    ],
    ids=["refused", "another credential", "an earlier attempt", "without a word"],
)
def test_the_refusal_of_the_last_attempt_is_told(conversation: Conversation, why: str) -> None:
    found = one(judged(Rule, conversation.expects("connected", at=3)))
    assert found.message == f"has no connection although the page needs one{why}"


def test_the_component_that_needs_it_is_named() -> None:
    conversation = user("A").expects("connected", at=1, component="Wizard")
    assert one(judged(Rule, conversation)).message == "has no connection although Wizard needs one"


def test_a_connection_at_that_moment_suffices() -> None:
    conversation = user("A").connects("s1", at=0).expects("connected", at=1).disconnects("s1", at=2)
    assert judged(Rule, conversation) == []


def test_a_connection_of_another_user_does_not_suffice() -> None:
    conversation = user("B").connects("s1", at=0) & user("A").expects("connected", at=1)
    assert one(judged(Rule, conversation)).user == "A"


def test_a_connection_lost_before_does_not_suffice() -> None:
    conversation = user("A").connects("s1", at=0).disconnects("s1", at=0.5).expects("connected", at=1)
    assert one(judged(Rule, conversation)).count == 1


def test_other_expectations_are_no_finding() -> None:
    assert judged(Rule, user("A").expects("delivered", at=1, name="sync")) == []


def test_500_times_missing_is_one_finding_and_needs_no_clock() -> None:
    conversation = user("A")
    for _ in range(500):
        conversation.expects("connected", at=None)
    found = one(judged(Rule, conversation))
    assert (found.count, found.rate) == (500, None)


def test_a_page_in_a_loop_of_replacements_is_not_reported_as_missing_its_connection() -> None:
    for times in (1, 2, 3):
        conversation = user("A", page="tab-1")
        for n in range(times):
            conversation.connects(f"s{n}", at=n).connects(f"t{n}", at=n + 0.3).is_replaced(f"s{n}", f"t{n}", at=n + 0.3)
            conversation.disconnects(f"t{n}", at=n + 0.6)
        conversation.expects("connected", at=times)
        assert len(judged(Rule, conversation)) == (times < 2)
