"""excessive-attempts: more connection attempts in a window than one page needs."""

import pytest

from tests.conversation import START, Conversation, judged, log_of, one, user
from wscheck.detect.ledger import Ledger
from wscheck.detect.rules import RuleOptions
from wscheck.detect.rules.excessive_attempts import ExcessiveAttempts, format_minutes
from wscheck.model.events import Connected
from wscheck.model.findings import Confidence, Severity


def logged(times: int, every: float) -> Conversation:
    conversation = log_of("A")
    for n in range(times):
        conversation.connects(f"s{n}", at=n * every)
    return conversation


def test_the_sixth_attempt_within_ten_seconds_is_one_too_many() -> None:
    found = one(judged(ExcessiveAttempts, logged(6, every=1)))
    assert (found.user, found.count, found.severity, found.confidence) == ("A", 1, Severity.ERROR, Confidence.HIGH)
    assert found.message == "6 connection attempts within 5.0 s (allowed: 5 in 10 s)"


@pytest.mark.parametrize("step", [-7200.0, -30.0, -11.0])
def test_a_clock_that_is_set_back_makes_no_attempts_excessive(step: float) -> None:
    conversation = log_of("A")
    for n in range(5):
        conversation.connects(f"s{n}", at=n * 60.0)
    for n in range(5):
        conversation.connects(f"t{n}", at=240.0 + step + n * 1.5)
    assert judged(ExcessiveAttempts, conversation) == []


def test_late_lines_do_not_shorten_the_time_of_the_attempts() -> None:
    conversation = log_of("A")
    for n, at in enumerate((0.0, 3.0, 2.0, 5.0, 4.0, 6.0)):
        conversation.connects(f"s{n}", at=at)
    assert one(judged(ExcessiveAttempts, conversation)).message.startswith("6 connection attempts within 6.0 s")


def test_five_attempts_are_allowed() -> None:
    assert judged(ExcessiveAttempts, logged(5, every=0.01)) == []


def test_any_number_of_attempts_is_allowed_when_they_are_far_apart() -> None:
    assert judged(ExcessiveAttempts, logged(200, every=120)) == []


@pytest.mark.parametrize("every", [2.5, 8, 60])
def test_a_slow_loop_that_continues_for_minutes_is_a_warning(every: float) -> None:
    found = one(judged(ExcessiveAttempts, logged(60, every=every) & log_of("B").connects("b", at=0)))
    assert (found.user, found.severity, found.confidence) == ("A", Severity.WARNING, Confidence.MEDIUM)
    duration = format_minutes(58 * every)
    assert found.message == (
        f"59 connection attempts within {duration}, one every {every:.1f} s (each of the other users: "
        f"{60 / (58 * every):.1f} per minute on average)"
    )


def test_reconnects_for_less_than_minutes_are_no_loop() -> None:
    assert judged(ExcessiveAttempts, logged(30, every=4)) == []


def test_irregular_reconnects_are_no_loop() -> None:
    conversation, at = log_of("A"), 0.0
    for n in range(60):
        at += 3.0 if n % 4 else 70.0
        conversation.connects(f"s{n}", at=at)
    assert judged(ExcessiveAttempts, conversation) == []


def test_a_fast_loop_is_not_reported_as_a_slow_one_too() -> None:
    assert {found.severity for found in judged(ExcessiveAttempts, logged(300, every=1))} == {Severity.ERROR}


def test_the_limit_and_the_window_can_be_tuned() -> None:
    assert (
        one(judged(ExcessiveAttempts, logged(3, every=1), RuleOptions(max_attempts=2, attempts_window_s=5))).count == 1
    )
    assert judged(ExcessiveAttempts, logged(60, every=1), RuleOptions(max_attempts=2, attempts_window_s=1)) == []


def test_refusals_are_attempts_too() -> None:
    conversation = log_of("A")
    for n in range(6):
        conversation.is_refused(at=n * 0.1)
    assert one(judged(ExcessiveAttempts, conversation)).count == 1


def test_an_attempt_that_client_and_log_both_report_counts_once() -> None:
    conversation = user("A")
    for n in range(5):
        conversation.seen_by("client").attempts(at=n).connects(f"s{n}", at=n + 0.01)
        conversation.seen_by("server-log").connects(f"s{n}", at=n + 0.01)
    assert judged(ExcessiveAttempts, conversation) == []


def test_attempts_of_many_users_are_not_added_up() -> None:
    conversation = user("A")
    for n in range(100):
        conversation.user = f"user_{n % 50}"
        conversation.connects(f"s{n}", at=n / 100)
    assert judged(ExcessiveAttempts, conversation) == []


def test_500_attempts_are_one_finding() -> None:
    found = one(judged(ExcessiveAttempts, logged(500, every=0.3)))
    assert found.count == 495
    assert len(found.evidence) == 8


def test_a_storm_is_counted_within_its_window_however_long_it_lasts() -> None:
    found = one(judged(ExcessiveAttempts, logged(5_000, every=0.001)))
    assert found.count == 4_995
    assert found.message.startswith("1000 connection attempts within 1.0 s")


def test_attempts_without_a_time_have_no_rate() -> None:
    conversation = log_of("A")
    for n in range(500):
        conversation.connects(f"s{n}", at=None)
    assert judged(ExcessiveAttempts, conversation) == []


def test_two_attempts_read_from_one_clock_tick_are_two() -> None:
    tick = 1.0
    conversation = log_of("A")
    for n in range(6):
        conversation.connects(f"s{n}", at=tick)
    assert one(judged(ExcessiveAttempts, conversation)).count == 1


def test_a_user_without_an_attempt_in_the_window_is_forgotten() -> None:
    rule = ExcessiveAttempts(Ledger(), RuleOptions(), lambda occurrence: pytest.fail(occurrence.message))
    attempt = rule.handlers()[Connected]
    for n in range(1000):
        attempt(Connected(at=START + n / 100, source="server-log", user=f"user {n}", sid=str(n)))
    attempt(Connected(at=START + 50, source="server-log", user="late", sid="late"))
    assert list(rule._attempts) == ["late"]


@pytest.mark.parametrize(("per_document", "documents", "found"), [(2, 7, 0), (6, 1, 1), (6, 2, 2)])
def test_each_document_of_a_page_counts_by_itself(per_document: int, documents: int, found: int) -> None:
    conversation = user("A", "browser", page="tab 1")
    for document in range(documents):
        for n in range(per_document):
            conversation.connects(f"{document}.{n}", at=document + n / 10, document=document + 1)
    assert sum(f.count for f in judged(ExcessiveAttempts, conversation)) == found


def test_attempts_after_each_action_of_wscheck_are_counted_anew() -> None:
    conversation = user("A", "browser", page="tab-1", document=1)
    for number in range(40):  # a socket per view: wscheck visits a view every 4 s, for longer than a slow loop lasts
        conversation.acts(at=4 * number).attempts(at=4 * number + 0.1)
    assert judged(ExcessiveAttempts, conversation) == []


def test_a_loop_of_the_page_within_one_visit_is_still_found() -> None:
    conversation = user("A", "browser", page="tab-1", document=1).acts(at=0)
    for number in range(6):
        conversation.attempts(at=0.3 * number)
    assert one(judged(ExcessiveAttempts, conversation)).message.startswith("6 connection attempts")


def test_an_action_on_one_page_does_not_excuse_another() -> None:
    conversation = user("A", "browser", page="tab-2", document=1)
    for number in range(6):
        conversation.acts(at=0.3 * number, page="tab-1").attempts(at=0.3 * number)
    assert one(judged(ExcessiveAttempts, conversation)).message.startswith("6 connection attempts")


@pytest.mark.parametrize(("by_client", "found"), [(5, 0), (6, 1)])
def test_the_attempts_of_a_scenario_do_not_count(by_client: int, found: int) -> None:
    conversation = user("A")
    for n in range(12):
        conversation.attempts(at=n * 0.2, by_scenario=n >= by_client).is_refused(at=n * 0.2 + 0.1, message="occupied")
    assert len(judged(ExcessiveAttempts, conversation)) == found
