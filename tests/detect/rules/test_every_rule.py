"""Every rule has a file of tests and its texts, and finds nothing in healthy or empty evidence."""

from pathlib import Path

import pytest

from tests.conversation import Conversation, judged, user
from wscheck.detect.rules import REGISTRY, Rule


@pytest.mark.parametrize("rule", REGISTRY.values(), ids=REGISTRY)
def test_every_rule_has_its_tests_and_its_texts(rule: type[Rule]) -> None:
    assert (Path(__file__).parent / f"test_{rule.id.replace('-', '_')}.py").is_file()
    for text in (rule.title, rule.meaning, rule.fix, rule.source):
        assert len(text) > 10


@pytest.mark.parametrize("rule", REGISTRY.values(), ids=REGISTRY)
def test_no_rule_finds_anything_in_a_healthy_conversation(rule: type[Rule]) -> None:
    conversation = user("A", page="tab-1").log_watched().mounts("Dashboard", at=0).attempts(at=0)
    conversation.connects("s1", at=0.1, credential="own").expects("connected", at=0.2)
    conversation.seen_by("server-log").connects("s1", at=0.1).seen_by("client", page="tab-1")
    conversation.expects("delivered", at=0.3, name="sync", within=2.0).receives("sync", at=0.4, about="A")
    conversation.handles("sync", at=0.4).unmounts("Dashboard", at=1).disconnects(
        "s1", at=1.01, reason="io client disconnect"
    )
    assert judged(rule, conversation.watched(until=9)) == []


@pytest.mark.parametrize("rule", REGISTRY.values(), ids=REGISTRY)
def test_no_rule_finds_anything_in_nothing(rule: type[Rule]) -> None:
    assert judged(rule, Conversation(None)) == []
