"""Which events of a duplicated tab are evaluated without a policy."""

from typing import Any, cast

import pytest

from wscheck.model.events import Connected, Connecting, Disconnected, Event
from wscheck.run.browser.run import BrowserPlan, _BrowserRun


@pytest.mark.parametrize(
    ("key", "reason", "evaluated"),
    [
        ("slot", "io server disconnect", True),
        ("slot", "transport close", False),  # the duplicated tab was closed
        (None, "io server disconnect", False),
    ],
)
def test_tabs_that_share_an_id_and_replace_each_other_are_evaluated(
    key: str | None, reason: str, evaluated: bool
) -> None:
    run = _BrowserRun(BrowserPlan(), cast("Any", None), lambda what, done, total: None)
    run.page_actions.duplicated_at = 10.0
    first = Connected(at=1.0, sid="s1", page="tab 1", shared_key=key)
    second = [Connecting(at=11.0), Connected(at=11.0, sid="s2", page="tab 2", shared_key=key)]
    events: list[Event] = [first, *second, Disconnected(at=11.1, sid="s1", reason=reason)]
    assert run.without_duplicated_tab(events) == (events if evaluated else [first, second[0]])
