"""What the reason of a disconnect tells, in the words of any server."""

import pytest

from wscheck.model.disconnect_reasons import reports_replacement


@pytest.mark.parametrize(
    ("reason", "replaced"),
    [
        ("remove_existing", True),
        ("closing old socket", True),
        ("dropped previous session", True),
        ("taken over", True),
        ("removed by an admin", False),
        ("closed normally", False),
        ("existing room removed", False),
        (None, False),
    ],
)
def test_an_end_in_favour_of_a_newer_connection_is_recognised(reason: str | None, *, replaced: bool) -> None:
    assert reports_replacement(reason) is replaced
