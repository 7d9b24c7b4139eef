"""Signatures in stacks, scripts and handlers, each with a near miss."""

from typing import Any

import pytest

from tests.conversation import Conversation, user
from tests.detect.causes.test_signatures import cause, why
from wscheck.model.code_facts import OpenerCode
from wscheck.model.events import CodeLocation

OPENER = CodeLocation("src/hooks/useSocket.ts", 12, 5, "useSocket")
DASHBOARD = CodeLocation("src/Dashboard.tsx", 42, 3, "Dashboard")
WIZARD = CodeLocation("src/Wizard.tsx", 7, 3, "Wizard")


def react(*functions: str) -> tuple[CodeLocation, ...]:
    return tuple(CodeLocation("node_modules/react-dom/index.js", 1, 1, function) for function in functions)


EFFECT = react("commitHookEffectListMount", "flushPassiveEffects")
RENDER = react("renderWithHooks", "beginWork")


def opened(*stacks: tuple[CodeLocation, ...], apart: float = 1.0, **each: tuple[Any, ...]) -> Conversation:
    """Return one page's connections, one for each stack, opened by its first frame; all stay open."""
    conversation = user("A", page="tab-1")
    for n, stack in enumerate(stacks):
        more = {name: values[n] for name, values in each.items()}
        conversation.connects(f"s{n}", at=n * apart, opener=stack[0], stack=stack, **more)
    return conversation.watched(until=60)


def test_two_openers_are_named_by_the_frames_at_which_their_stacks_diverge() -> None:
    conversation = opened((OPENER, DASHBOARD, *EFFECT), (OPENER, WIZARD, *EFFECT))
    found = cause(conversation)
    assert found is not None
    assert (found.id, found.because) == (
        "two-openers",
        "one page opened one connection in src/Dashboard.tsx:42:3 and one in src/Wizard.tsx:7:3, "
        "both through src/hooks/useSocket.ts:12:5",
    )


def test_two_openers_are_not_one_stack_twice() -> None:
    assert why(opened((OPENER, DASHBOARD, *EFFECT), (OPENER, DASHBOARD, *EFFECT))) != "two-openers"


@pytest.mark.parametrize(("mounted", "expected"), [(1, "unmount-without-cleanup"), (2, "two-openers")])
def test_two_openers_in_one_bundle_without_a_map_only_where_two_components_run_it(mounted: int, expected: str) -> None:
    """The stacks may diverge in the framework's code: one component that is created again in another way."""
    code = (OpenerCode(mounted=mounted),) * 2
    setup, attached, pushed = (CodeLocation("http://h/main.js", 4, column) for column in (138632, 9735, 40063))
    deep = tuple(CodeLocation("http://h/main.js", 4, column) for column in range(50, 54))
    found = cause(opened((setup, attached, *deep), (setup, pushed, *deep), code=code))
    assert found is not None and (found.id, found.confidence) == (expected, "medium")
    assert why(opened((setup, attached), (setup, pushed))) == "two-openers", "a page without a framework"


def test_io_in_render() -> None:
    assert why(opened(*[(OPENER, DASHBOARD, *RENDER)] * 3)) == "io-in-render"


@pytest.mark.parametrize("frames", [EFFECT, react("mountState", "renderWithHooks")], ids=["effect", "initialiser"])
def test_io_in_render_is_not_an_effect_and_not_a_state_initialiser(frames: tuple[CodeLocation, ...]) -> None:
    assert why(opened(*[(OPENER, DASHBOARD, *frames)] * 3)) != "io-in-render"


def test_strict_mode_shows_in_its_stack() -> None:
    strict = (OPENER, DASHBOARD, *react("doubleInvokeEffectsOnFiber"))
    found = cause(opened((OPENER, DASHBOARD, *EFFECT), strict, apart=0.4))
    assert found is not None
    assert (found.id, found.because) == (
        "effect-without-cleanup",
        "StrictMode ran the effect at src/hooks/useSocket.ts:12:5 twice, and the first connection stayed open",
    )


def test_strict_mode_is_not_a_second_visit() -> None:
    assert why(opened(*[(OPENER, DASHBOARD, *EFFECT)] * 2)) == "unmount-without-cleanup"


def test_hot_reload() -> None:
    scripts = ("http://localhost/src/socket.ts?t=1", "http://localhost/src/socket.ts?t=2")
    assert why(opened((OPENER,), (OPENER,), script=scripts)) == "hot-reload"


def test_hot_reload_of_code_that_moved_by_some_lines() -> None:
    """Vite and Vue: the component ran again from the new version of its file, with io() on a later line."""
    scripts = ("http://localhost/src/Chat.vue?t=1", "http://localhost/src/Chat.vue?t=2")
    moved = (CodeLocation("src/Chat.vue", 7, 16, "setup"),), (CodeLocation("src/Chat.vue", 8, 16, "setup"),)
    assert why(opened(*moved, script=scripts)) == "hot-reload"
    assert why(opened(*moved, script=scripts[:1] * 2)) == "two-openers"


def test_hot_reload_is_not_the_same_version_again() -> None:
    assert why(opened((OPENER,), (OPENER,), script=("http://localhost/a.js",) * 2)) == "unmount-without-cleanup"


APART: dict[str, Any] = {"namespace": ("/", "/admin"), "eio": ("e1", "e2")}


def test_two_bundles() -> None:
    clients = ("http://localhost/a.js?v=1", "http://localhost/b.js")
    found = cause(opened((DASHBOARD,), (WIZARD,), client=clients, **APART))
    assert found is not None
    assert found.because == "socket.io-client runs from http://localhost/a.js and from http://localhost/b.js"


def test_two_bundles_are_not_a_page_and_its_worker() -> None:
    clients = ("http://localhost/a.js", "http://localhost/worker.js")
    targets = ("page http://localhost/", "worker http://localhost/worker.js")
    found = why(opened((DASHBOARD,), (WIZARD,), client=clients, target=targets, **APART))
    assert found == "page-and-worker"


def test_two_bundles_are_not_two_versions_of_one() -> None:
    clients = ("http://localhost/a.js?v=1", "http://localhost/a.js?v=2")
    assert why(opened((DASHBOARD,), (WIZARD,), client=clients, **APART)) == "two-openers"


@pytest.mark.parametrize(
    ("urls", "expected"),
    [
        (("http://h/?room=1", "http://h/?room=2"), "queries (`room`)"),
        (("http://localhost/", "http://127.0.0.1/"), "addresses"),
    ],
)
def test_forced_new_connection(urls: tuple[str, str], expected: str) -> None:
    found = cause(opened((OPENER, DASHBOARD), (OPENER, DASHBOARD), url=urls))
    assert found is not None
    assert found.id == "forced-new-connection"
    assert expected in found.because


def test_forced_new_connection_is_not_the_same_address() -> None:
    assert why(opened((OPENER,), (OPENER,), url=("http://h/?room=1",) * 2)) != "forced-new-connection"


def test_no_sticky_session() -> None:
    conversation = user("A", page="tab-1", stack=(OPENER,))
    for n in range(7):
        conversation.is_refused(at=n * 0.1, message="Session ID unknown")
    assert why(conversation, "excessive-attempts") == "no-sticky-session"


def test_no_sticky_session_is_not_a_refused_token() -> None:
    conversation = user("A", page="tab-1", stack=(OPENER,))
    for n in range(7):
        conversation.is_refused(at=n * 0.1, message="invalid token")
    assert why(conversation, "excessive-attempts") is None


def handling(*handlers: CodeLocation, **more: Any) -> Conversation:
    conversation = user("A").connects("s1", at=0).has_handlers("sync", 0.1, *handlers, **more).receives("sync", at=1)
    return conversation.handles("sync", at=1).handles("sync", at=1)


def test_handler_in_connect() -> None:
    conversation = handling(DASHBOARD, DASHBOARD, inside="connect")
    found = cause(conversation, "event-duplicated")
    assert found is not None
    assert (found.id, found.because) == (
        "handler-in-connect",
        "src/Dashboard.tsx:42:3 is in the connect handler, which ran 2 times",
    )


def test_handler_without_off() -> None:
    assert why(handling(DASHBOARD, DASHBOARD), "event-duplicated") == "handler-without-off"


def test_two_handlers_of_two_components_are_neither() -> None:
    assert why(handling(DASHBOARD, WIZARD, inside="connect"), "event-duplicated") is None


def test_off_without_handler() -> None:
    conversation = (
        user("A").connects("s1", at=0).has_handlers("sync", 0.1, lost=(DASHBOARD, WIZARD)).receives("sync", at=1)
    )
    assert why(conversation, "event-unheard") == "off-without-handler"
