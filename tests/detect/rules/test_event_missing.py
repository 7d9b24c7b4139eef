"""event-missing: an event of the contract did not arrive, or reached no handler."""

from tests.conversation import KICKED_CLIENT, START, Conversation, judged, one, user
from wscheck.detect.engine import Judge
from wscheck.detect.rules import REGISTRY
from wscheck.model.findings import Severity

Rule = REGISTRY["event-missing"]


def asked(at: float | None = 0, **more: object) -> Conversation:
    return user("A").expects("delivered", at=at, name="sync", within=2.0, **more)


def test_an_event_that_does_not_arrive_in_time() -> None:
    found = one(judged(Rule, asked().watched(until=3)))
    assert (found.user, found.severity, found.message) == ("A", Severity.ERROR, "sync did not arrive within 2 s")


def test_an_event_that_arrives() -> None:
    assert judged(Rule, asked().receives("sync", at=1).watched(until=3)) == []


def test_an_event_may_still_come_when_the_evidence_ends_too_soon() -> None:
    assert judged(Rule, asked().watched(until=1)) == []


def test_the_absence_of_an_optional_event_is_a_note() -> None:
    assert one(judged(Rule, asked(required=False).watched(until=3))).severity is Severity.NOTE


def test_the_absence_of_an_optional_event_that_nothing_requests_is_a_note() -> None:
    conversation = user("A").expects("unrequested", at=0, name="tour", required=False)
    found = one(judged(Rule, conversation.watched(until=3)))
    assert (found.severity, found.message) == (Severity.NOTE, "tour did not arrive, and nothing requests it")
    greeted = user("A").receives("tour", at=0).expects("unrequested", at=1, name="tour", required=False)
    assert judged(Rule, greeted.watched(until=3)) == []
    assert judged(Rule, user("A").expects("unrequested", at=0, name="tour").watched(until=3)) == []


def test_the_page_is_named_if_there_are_several() -> None:
    conversation = user("A").mounts("Header", at=0, page="tab-1").mounts("Header", at=0, page="tab-2")
    conversation.expects("delivered", at=1, name="sync", within=2.0, page="tab-2").receives("sync", at=1, page="tab-1")
    assert one(judged(Rule, conversation.watched(until=9))).message == "sync did not arrive within 2 s on tab-2"


def test_nothing_is_missing_on_a_page_that_another_page_replaced() -> None:
    conversation = user("A").connects("s1", at=0, page="tab-1").connects("s2", at=0.1, page="tab-2")
    conversation.expects("delivered", at=1, name="sync", within=2.0, page="tab-1")
    conversation.disconnects("s1", at=1.5, reason=KICKED_CLIENT)
    assert judged(Rule, conversation.watched(until=9)) == []
    again = conversation.expects("delivered", at=2, name="sync", within=2.0, page="tab-2")
    assert one(judged(Rule, again.watched(until=9))).evidence[0].at == START + 2


def test_another_event_another_user_and_another_page_do_not_count() -> None:
    conversation = asked().receives("status", at=1).receives("sync", at=1, page="tab-2")
    conversation &= user("B").receives("sync", at=1)
    assert one(judged(Rule, conversation.watched(until=3))).user == "A"


def test_an_event_that_arrives_and_reaches_no_handler() -> None:
    conversation = asked().expects("handled", at=0, name="sync", within=2.0, component="Wizard").receives("sync", at=1)
    conversation.handles("sync", at=1, by="Dashboard")
    assert one(judged(Rule, conversation.watched(until=3))).message == "sync did not reach Wizard within 2 s"


def test_an_event_that_reaches_its_handler() -> None:
    conversation = asked().expects("handled", at=0, name="sync", within=2.0, component="Wizard").receives("sync", at=1)
    assert judged(Rule, conversation.handles("sync", at=1, by="Wizard").watched(until=3)) == []


def test_an_event_that_did_not_arrive_is_not_also_reported_as_unhandled() -> None:
    conversation = asked().expects("handled", at=0, name="sync", within=2.0, component="Wizard").watched(until=3)
    assert one(judged(Rule, conversation)).message == "sync did not arrive within 2 s"


def test_500_absences_are_one_finding_for_each_event_name() -> None:
    conversation = user("A")
    for n in range(500):
        conversation.expects("delivered", at=n / 1000, name="sync", within=1.0)
        conversation.expects("delivered", at=n / 1000, name="status", within=1.0)
    assert [f.count for f in judged(Rule, conversation.watched(until=9))] == [500, 500]


def test_without_times_nothing_is_late() -> None:
    assert judged(Rule, asked(at=None)) == []


def gap_of(conversation: Conversation) -> str:
    judge = Judge(rules=[Rule])
    for event in conversation.events:
        judge.feed(event)
    assert judge.finish() == []
    return "; ".join(gap.reason for gap in judge.gaps)


def test_an_event_that_arrived_before_its_request_is_not_missing() -> None:
    conversation = user("A").receives("sync", at=0).expects("delivered", at=1, name="sync", within=2.0)
    assert "arrives unrequested when the client connects" in gap_of(conversation.watched(until=9))


def test_a_component_that_mounted_after_a_greeting_did_not_miss_it() -> None:
    conversation = user("A").mounts("Header", at=0).receives("sync", at=0.1).handles("sync", at=0.1, by="Header")
    conversation.mounts("Chat", at=0.2).expects("handled", at=1, name="sync", within=2.0, component="Chat")
    assert gap_of(conversation.watched(until=9)).startswith("Chat mounted after sync had arrived unrequested")


def test_an_answer_that_stops_after_the_first_request_is_missing() -> None:
    conversation = asked().receives("sync", at=0.1).expects("delivered", at=3, name="sync", within=1.0)
    assert one(judged(Rule, conversation.watched(until=9))).message == "sync did not arrive within 1 s"


def test_an_event_that_only_the_default_contract_expects_is_a_gap() -> None:
    assert "wscheck init --observe" in gap_of(asked(assumed=True).watched(until=3))
    assert gap_of(asked(assumed=True).receives("sync", at=1).watched(until=3)) == ""
