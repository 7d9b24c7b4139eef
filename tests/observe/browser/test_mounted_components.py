"""Mounted components that run the code of a stack."""

from typing import Any, cast

import pytest

from tests.observe.browser.test_handler_events import FakePage
from wscheck.observe.browser.mounted_components import (
    ComponentFunction,
    MountedComponents,
    read_mounted_components,
)

OUTER = ComponentFunction("7", (10, 0), (40, 1), (0,))
HOOK = ComponentFunction("7", (20, 12), (25, 3), (1, 2))
MOUNTED = MountedComponents(("App", "Board", "Drawer"), frozenset({"react"}), (OUTER, HOOK))


def test_the_innermost_function_decides_which_components_run_a_position() -> None:
    assert MOUNTED.running([("7", (22, 4))]) == (2, ("Board", "Drawer"))
    assert MOUNTED.running([("7", (30, 4))]) == (1, ("App",))


def test_the_innermost_frame_that_a_component_runs_counts() -> None:
    assert MOUNTED.running([("9", (1, 1)), ("7", (20, 12)), ("7", (11, 0))]) == (2, ("Board", "Drawer"))
    assert MOUNTED.running([("9", (22, 4)), ("7", (20, 0)), ("7", (41, 0))]) == (1, ("App",))
    assert MOUNTED.running([("8", (22, 4))]) == (0, ())


@pytest.mark.parametrize(
    "value",
    [
        *(None, 5, [], {"names": None, "frameworks": [], "entries": []}),
        {"names": ["App"], "frameworks": ["react"], "entries": 5},
        {"names": ["App"], "frameworks": [], "entries": [{"wrapped": False, "owners": [7], "lines": 0, "last": 1}]},
    ],
)
async def test_values_of_a_page_that_replaces_built_in_functions_are_no_components(value: object) -> None:
    found = await read_mounted_components(cast("Any", FakePage(value)), "session", [1])
    assert found == MountedComponents()
