"""connection-missing: a page that needs a connection has none."""

from tests.conversation import judged, one, user
from wscheck.detect.rules import REGISTRY
from wscheck.model.findings import Severity

Rule = REGISTRY["connection-missing"]


def test_a_user_who_should_be_connected_and_is_not() -> None:
    found = one(judged(Rule, user("A").is_refused(at=0).expects("connected", at=1)))
    assert (found.user, found.severity) == ("A", Severity.ERROR)
    assert found.message == "has no connection although the page needs one"


def test_the_component_that_needs_it_is_named() -> None:
    said = user("A").expects("connected", at=1, component="Wizard")
    assert one(judged(Rule, said)).message == "has no connection although Wizard needs one"


def test_a_connection_at_that_moment_suffices() -> None:
    said = user("A").connects("s1", at=0).expects("connected", at=1).disconnects("s1", at=2)
    assert judged(Rule, said) == []


def test_a_connection_of_another_user_does_not_suffice() -> None:
    said = user("B").connects("s1", at=0) & user("A").expects("connected", at=1)
    assert one(judged(Rule, said)).user == "A"


def test_a_connection_lost_before_does_not_suffice() -> None:
    said = user("A").connects("s1", at=0).disconnects("s1", at=0.5).expects("connected", at=1)
    assert one(judged(Rule, said)).count == 1


def test_other_expectations_are_no_finding() -> None:
    assert judged(Rule, user("A").expects("delivered", at=1, name="sync")) == []


def test_500_times_missing_is_one_finding_and_needs_no_clock() -> None:
    said = user("A")
    for _ in range(500):
        said.expects("connected", at=None)
    found = one(judged(Rule, said))
    assert (found.count, found.rate) == (500, None)
