"""The allow-list and the baseline, applied to findings by the verdict."""

import datetime
from collections.abc import Sequence
from typing import Any

import pytest

from wscheck.detect.allowed_findings import IN_BASELINE, _Pattern, allow_notes, finding_key
from wscheck.detect.verdict import Decision, verdict
from wscheck.model.allow_list import AllowEntry, AllowList
from wscheck.model.events import CodeLocation, Connected, Subscribed
from wscheck.model.findings import Bar, Cause, Confidence, Finding, Severity, Verdict
from wscheck.model.gaps import Gap

TODAY = datetime.date(2027, 1, 15)


def finding(rule: str = "multiple-connections", **fields: Any) -> Finding:
    opened = Connected(user="ann", sid="s1", opener=CodeLocation("src/legacy/chat.ts", 12, 4, "openChat"))
    defaults: dict[str, Any] = {"user": "ann", "message": "holds 2 connections at once", "evidence": [opened]}
    return Finding(rule=rule, severity=Severity.ERROR, confidence=Confidence.HIGH, **(defaults | fields))


def decide(*findings: Finding, gaps: tuple[Gap, ...] = (), **allow: Any) -> Decision:
    return verdict(findings, gaps, Bar(allow=AllowList(today=TODAY, **allow)))


@pytest.mark.parametrize(
    ("entry", "allowed"),
    [
        ({}, True),
        ({"user": "an*"}, True),
        ({"user": "ben"}, False),
        ({"file": "src/legacy/*"}, True),
        ({"file": "src/new/*"}, False),
        ({"user": "ann", "file": "src/new/*"}, False),
        ({"until": datetime.date(2027, 1, 15)}, True),
        ({"until": datetime.date(2027, 1, 14)}, False),
        ({"rule": "connection-replaced"}, False),
    ],
)
def test_an_entry_allows_the_findings_that_it_matches_until_it_expires(entry: dict[str, Any], allowed: bool) -> None:
    decision = decide(finding(), entries=(AllowEntry(**({"rule": "multiple-connections"} | entry)),))
    assert decision.verdict is (Verdict.PASSED if allowed else Verdict.FAILED)
    assert (len(decision.findings), len(decision.allowed)) == ((0, 1) if allowed else (1, 0))


def test_an_allowed_finding_states_the_reason_and_the_last_day() -> None:
    entry = AllowEntry(rule="multiple-connections", until=datetime.date(2027, 1, 31), reason="replaced in January")
    (allowed,) = decide(finding(), entries=(entry,)).allowed
    assert allowed.allowed == "replaced in January (until 2027-01-31)"


def test_a_finding_that_is_not_allowed_fails_beside_allowed_ones() -> None:
    decision = decide(finding(), finding("event-leaked"), entries=(AllowEntry(rule="multiple-connections"),))
    assert decision.verdict is Verdict.FAILED
    assert [each.rule for each in decision.findings] == ["event-leaked"]


def test_a_gap_about_an_allowed_rule_does_not_block() -> None:
    gap = Gap(id="evidence-ends-early", reason="too early", rules=("multiple-connections",))
    assert decide(gaps=(gap,)).verdict is Verdict.INCONCLUSIVE
    assert decide(gaps=(gap,), entries=(AllowEntry(rule="multiple-connections"),)).verdict is Verdict.PASSED
    one_user = AllowEntry(rule="multiple-connections", user="ann")
    assert decide(gaps=(gap,), entries=(one_user,)).verdict is Verdict.INCONCLUSIVE


def test_a_baseline_knows_a_finding_by_rule_cause_and_place() -> None:
    cause = Cause(id="two-openers", name="two components", fix="Share it.")
    known = finding_key(finding(cause=cause))
    moved = Connected(user="ben", sid="s9", opener=CodeLocation("src/legacy/chat.ts", 80, 2, "openChat"))
    decision = decide(finding(cause=cause, user="ben", count=7, evidence=[moved]), baseline=frozenset({known}))
    assert decision.verdict is Verdict.PASSED and decision.allowed[0].allowed == IN_BASELINE
    elsewhere = Connected(user="ann", sid="s1", opener=CodeLocation("src/new.ts", 1, 1, "openChat"))
    for new in (finding(), finding("event-leaked", cause=cause), finding(cause=cause, evidence=[elsewhere])):
        assert decide(new, baseline=frozenset({known})).verdict is Verdict.FAILED
    assert decide(finding(cause=cause, scenario="race"), baseline=frozenset({known})).verdict is Verdict.FAILED


def test_a_subscription_is_known_by_the_place_that_subscribes() -> None:
    opener, site = CodeLocation("src/socket.ts", 4), CodeLocation("src/Orders.tsx", 9)
    located = finding(evidence=[Subscribed(sid="s1", opener=opener, subscriber=site)])
    assert finding_key(located).place == "src/Orders.tsx:9"
    assert finding_key(finding(evidence=[Subscribed(sid="s1", opener=opener)])).place == "src/socket.ts:4"


def test_an_expired_entry_is_a_warning_and_an_unused_one_a_note() -> None:
    expired = AllowEntry(rule="multiple-connections", until=datetime.date(2026, 12, 31))
    unused, used = AllowEntry(rule="event-leaked", user="x*"), AllowEntry(rule="multiple-connections", user="ann")
    notes = allow_notes([finding()], AllowList(entries=(expired, unused, used), today=TODAY))
    assert [(note.severity, note.text) for note in notes] == [
        (
            Severity.WARNING,
            "the allow-list entry for multiple-connections expired on 2026-12-31, and 1 finding still matches it",
        ),
        (
            Severity.NOTE,
            "the allow-list entry for event-leaked user x* matched nothing: remove it if the problem is solved",
        ),
    ]


@pytest.mark.parametrize("pattern", ["u{}", "u{}*", "u{}-?"])
def test_a_finding_is_compared_with_few_of_many_entries(monkeypatch: pytest.MonkeyPatch, pattern: str) -> None:
    compared = list[str]()

    def matches(self: _Pattern, user: str, files: Sequence[str]) -> bool:
        compared.append(user)
        return original(self, user, files)

    original = _Pattern.matches
    monkeypatch.setattr(_Pattern, "matches", matches)
    entries = [AllowEntry(rule="multiple-connections", user=pattern.format(n)) for n in range(10_000, 10_300)]
    found = [finding(user=entry.user.replace("*", "x").replace("?", "x")) for entry in entries if entry.user]
    decision = decide(*found, finding(user="ann"), entries=(*entries, AllowEntry(rule="event-leaked")))
    assert len(decision.allowed) == 300 and [each.user for each in decision.findings] == ["ann"]
    assert len(allow_notes(found, AllowList(entries=tuple(entries)))) == 0
    assert len(compared) < 1000


@pytest.mark.timeout(10)
def test_a_long_user_is_compared_with_the_starts_of_entries_only() -> None:
    entries = (AllowEntry(rule="multiple-connections", user="u*"), AllowEntry(rule="multiple-connections"))
    assert len(decide(finding(user="u" * 500_000), entries=entries).allowed) == 1
