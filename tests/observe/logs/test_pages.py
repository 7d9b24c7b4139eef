"""Ids of tabs and devices in server logs, which the policy of one connection per page needs."""

import json

import pytest

import wscheck
from tests.observe.logs.test_wording import read
from wscheck.model.events import Connected
from wscheck.model.policy import Connections


def opened(number: int, **ids: str) -> str:
    record = {"time": 1_795_000_000_000 + number * 1000, "msg": "WebSocket client connected", "userId": "ann"}
    return json.dumps({**record, "socketId": f"s{number}", **ids})


def judged(*lines: str, keys: tuple[str, ...] = (), connections: Connections | None = None) -> wscheck.LogsReport:
    end = json.dumps({"time": 1_795_000_090_000, "msg": "still alive"})
    return wscheck.read_log([*lines, end], keys=keys, connections=connections)


@pytest.mark.parametrize(
    ("name", "keys"), [("tabId", ()), ("device_id", ()), ("browserInstance", ("page=browserInstance",))]
)
def test_several_pages_of_a_user_pass_with_the_policy_per_tab(name: str, keys: tuple[str, ...]) -> None:
    two_pages = [opened(1, **{name: "t-1"}), opened(2, **{name: "t-2"})]
    assert judged(*two_pages, keys=keys, connections="per-tab").verdict is wscheck.Verdict.PASSED
    assert judged(*two_pages, keys=keys).verdict is wscheck.Verdict.FAILED
    assert judged(*two_pages, keys=keys, connections=2).verdict is wscheck.Verdict.PASSED
    assert judged(*two_pages, keys=keys, connections="per-user").verdict is wscheck.Verdict.FAILED


def test_two_connections_of_one_tab_fail_with_the_policy_per_tab() -> None:
    report = judged(opened(1, tabId="t-1"), opened(2, tabId="t-1"), connections="per-tab")
    assert [finding.rule for finding in report.findings] == ["multiple-connections"]


def test_a_log_without_tabs_is_inconclusive_with_the_policy_per_tab() -> None:
    report = judged(opened(1), opened(2), connections="per-tab")
    assert (report.verdict, report.findings) == (wscheck.Verdict.INCONCLUSIVE, [])
    assert "--key page=NAME" in " ".join(gap.closes_with for gap in report.gaps)
    assert judged(opened(1), connections="per-tab").verdict is wscheck.Verdict.PASSED


def test_several_connections_in_a_log_are_an_error_with_the_line_for_the_configuration() -> None:
    report = judged(opened(1), opened(2))
    assert report.verdict is wscheck.Verdict.FAILED
    assert any(gap.closes_with.startswith('connections = "per-tab"') for gap in report.gaps)


def on_devices(*kinds: str, users: int = 3, form: str = 'deviceType="{}"') -> str:
    """Return a log in which each user connects once with each kind of device, and the connections overlap."""
    names = [f"u{number}" for number in range(users)]
    opened = [
        f"2026-04-02T10:{minute:02}:{2 * second:02}.000Z WebSocket client connected userId={name} "
        f"socketId={name}x{minute} {form.format(kind)}"
        for minute, kind in enumerate(kinds)
        for second, name in enumerate(names)
    ]
    ended = [
        f"2026-04-02T10:{30 + minute:02}:{2 * second:02}.000Z WebSocket client disconnected socketId={name}x{minute}"
        for minute in range(len(kinds))
        for second, name in enumerate(names)
    ]
    return "\n".join([*opened, *ended, ""])


@pytest.mark.parametrize("form", ['deviceType="{}"', "device={}", "device_name='{}'"])
def test_connections_on_different_kinds_of_devices_are_a_warning(form: str) -> None:
    kinds = ("tablet", "TV", "watch")
    report = wscheck.read_log(on_devices(*kinds, form=form).splitlines())
    assert (report.verdict, {each.severity.value for each in report.findings}) == (wscheck.Verdict.PASSED, {"warning"})
    assert {one.device for one in report.findings[0].evidence if isinstance(one, Connected)} == set(kinds)


@pytest.mark.parametrize(
    ("kinds", "users"),
    [(("phone", "phone"), 3), (("phone", "laptop"), 1), (("1", "2"), 3), (("null", "phone"), 3)],
    ids=["one kind", "kinds of one user", "numbers of connections", "unknown"],
)
def test_other_connections_of_a_user_are_an_error_whatever_the_log_names(kinds: tuple[str, ...], users: int) -> None:
    report = wscheck.read_log(on_devices(*kinds, users=users).splitlines())
    assert report.verdict is wscheck.Verdict.FAILED


@pytest.mark.parametrize(
    ("kinds", "verdict"),
    [
        (("phone", "laptop"), wscheck.Verdict.PASSED),
        (("phone", "phone"), wscheck.Verdict.INCONCLUSIVE),
        (("phone", "null"), wscheck.Verdict.INCONCLUSIVE),
    ],
)
def test_different_devices_keep_the_policy_per_tab(kinds: tuple[str, ...], verdict: wscheck.Verdict) -> None:
    assert wscheck.read_log(on_devices(*kinds).splitlines(), connections="per-tab").verdict is verdict


@pytest.mark.parametrize("model", ["Pixel 8 (rooted", "iPhone, red", "[x"])
def test_a_device_whose_name_is_unclear_leaves_the_record_readable(model: str) -> None:
    line = f"WebSocket client connected userId=ann socketId=s1 deviceModel={model}"
    assert [type(event) for event in read(f"2026-04-02T10:00:00Z {line}\n")] == [Connected]


@pytest.mark.parametrize("key", ["station", "deviceId", "seat", "kiosk"])
def test_the_device_beside_a_user_is_read_in_words_that_were_learned(key: str) -> None:
    lines = [
        f"2026-04-02T10:11:{2 * number + 30 * late:02}.0Z INFO tap {word} account=ann {key}=K-{number} conn=c9{number}f"
        for late, word in enumerate(("opened", "closed"))
        for number in range(4)
    ]
    pages = [event.page for event in read("\n".join([*lines, ""]), guesses=True) if isinstance(event, Connected)]
    assert pages == ["K-0", "K-1", "K-2", "K-3"]
