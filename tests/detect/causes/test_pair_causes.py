"""Causes of two connections of one page, from the code, the mounted components and the order; each with a near miss."""

from typing import Any

import pytest

from tests.conversation import Conversation, judged, user
from tests.detect.causes.test_near_misses import DASHBOARD, EFFECT, OPENER, RENDER, WIZARD, opened, react
from tests.detect.causes.test_signatures import cause, why
from wscheck.detect.causes import probable_causes
from wscheck.detect.engine import Judge
from wscheck.detect.rules import DOCUMENTED
from wscheck.model.code_facts import CallContext, Cleanup, OpenerCode, Patch
from wscheck.model.events import CodeLocation

PAGE, FRAME = "page http://h/", "iframe http://h/?panel=1"
MODULE = CodeLocation("src/socket.ts", 3, 16)


def code(context: CallContext | None = CallContext.EFFECT, **facts: Any) -> OpenerCode:
    return OpenerCode(context=context, **{"owner": "Feed", "assigned_to": "socket", **facts})


def same(facts: OpenerCode | None, *stacks: tuple[CodeLocation, ...], apart: float = 1.0, **each: Any) -> Conversation:
    """Return the connections of one page that one place opened, by default twice with one stack."""
    stacks = stacks or ((OPENER, *EFFECT),) * 2
    return opened(*stacks, apart=apart, code=(facts,) * len(stacks), **each)


def fix(conversation: Conversation) -> str:
    found = cause(conversation)
    assert found is not None
    return found.fix


# --- mounted components ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("apart", [0.004, 0.3, 20.0])
def test_one_hook_of_several_components_at_any_interval(apart: float) -> None:
    conversation = same(code(cleanup=Cleanup.CLOSES, mounted=2, components=("Board", "Drawer")), apart=apart)
    found = cause(conversation)
    assert found is not None and (found.id, found.confidence) == ("two-openers", "high")
    assert "Board and Drawer" in found.fix and "disconnect" not in found.fix


@pytest.mark.parametrize("apart", [0.004, 0.3, 20.0])
def test_more_connections_than_mounted_components_are_a_leak_at_any_interval(apart: float) -> None:
    conversation = same(code(cleanup=Cleanup.MISSING, mounted=1), apart=apart)
    assert why(conversation) == "unmount-without-cleanup"
    assert "`return () => socket.disconnect()`" in fix(conversation)


def test_code_that_closes_belongs_to_two_components() -> None:
    """The components could not be counted, but a component that left would have closed its connection."""
    assert why(same(code(cleanup=Cleanup.CLOSES))) == "two-openers"
    assert why(same(code(cleanup=Cleanup.UNKNOWN))) == "unmount-without-cleanup"


@pytest.mark.parametrize(
    ("facts", "stack", "expected"),
    [
        (code(holder="element", assigned_to="this.s"), (OPENER,), "`disconnectedCallback() { this.s.disconnect(); }`"),
        (code(holder="component", assigned_to="this.s"), (OPENER, *EFFECT), "`componentWillUnmount() {"),
        (code(assigned_to=""), (OPENER, *EFFECT), "keep the socket, `const socket = io(...)`"),
        (code(owner="setup"), (CodeLocation("src/A.vue", 4, 2),), "when the component (src/A.vue:4:2) leaves"),
        (code(assigned_to="", frames=2), (OPENER, DASHBOARD, *EFFECT), "leaves: keep the socket, `const socket = ...`"),
        (code(frames=2), (OPENER, DASHBOARD, *EFFECT), "Feed (src/Dashboard.tsx:42:3)"),
        (code(), (CodeLocation("src/A.vue", 4, 2),), "`onUnmounted(() => socket.disconnect())`"),
        (code(CallContext.STATE_INITIALISER), (OPENER, *RENDER), "Open it in an effect of Feed that closes it"),
        (code(after_await=True), (OPENER, *EFFECT), "`if (cancelled) return;`"),
    ],
)
def test_the_lines_that_close_a_connection(facts: OpenerCode, stack: tuple[CodeLocation, ...], expected: str) -> None:
    conversation = opened(stack, stack, code=(replaced(facts), replaced(facts)))
    found = cause(conversation)
    assert found is not None and found.id == "unmount-without-cleanup"
    assert expected in found.fix


def replaced(facts: OpenerCode) -> OpenerCode:
    """Return the facts with a missing cleanup and no mounted component."""
    values = {name: getattr(facts, name) for name in facts.__struct_fields__}
    return OpenerCode(**values | {"cleanup": Cleanup.MISSING, "mounted": 0})


def test_a_fix_does_not_propose_the_cleanup_that_is_there() -> None:
    text = fix(same(code(cleanup=Cleanup.CLOSES, mounted=1)))
    assert "stayed open although the code closes one" in text and "return () =>" not in text


def test_provider_mounted_twice() -> None:
    facts: dict[str, Any] = {
        "holder": "component",
        "owner": "YardProvider",
        "provides": True,
    }
    conversation = same(code(mounted=2, cleanup=Cleanup.CLOSES, **facts))
    assert why(conversation) == "provider-mounted-twice" and "<YardProvider> once" in fix(conversation)
    assert why(same(code(mounted=1, cleanup=Cleanup.MISSING, **facts))) == "unmount-without-cleanup"


# --- code that waits, renders, or runs again -------------------------------------------------------------------------


def test_opened_after_cleanup() -> None:
    assert why(same(code(after_await=True, cleanup=Cleanup.CLOSES, mounted=1))) == "opened-after-cleanup"
    assert why(same(code(after_await=True, cleanup=Cleanup.CLOSES, mounted=2))) == "two-openers"
    assert why(same(code(after_await=False, cleanup=Cleanup.UNKNOWN, mounted=1))) == "unmount-without-cleanup"


@pytest.mark.parametrize("parameter", ["token", "access_token", "jwt"])
def test_tokens_that_differ_do_not_explain_what_opened_after_its_cleanup(parameter: str) -> None:
    late = code(after_await=True, cleanup=Cleanup.CLOSES)
    assert why(asked(late, 0.1, parameter=parameter)) == "opened-after-cleanup"
    assert why(asked(late, 0.1, parameter="room")) == "forced-new-connection", "each of several components"
    at_once = code(cleanup=Cleanup.CLOSES)
    assert why(asked(at_once, 0.1, parameter=parameter)) == "forced-new-connection"


def test_guard_before_await() -> None:
    callers = (OPENER, DASHBOARD), (OPENER, WIZARD)
    for facts in (code(CallContext.FUNCTION, races=True, after_await=True), code(races=True, cleanup=Cleanup.CLOSES)):
        assert why(same(facts, *callers)) == "guard-before-await" and "pending ??=" in fix(same(facts, *callers))
    assert why(same(code(CallContext.FUNCTION, after_await=True), *callers)) == "two-openers"
    forgotten = code(CallContext.FUNCTION, races=True, overwrites=True, dropped_at="src/session.ts:13")
    assert why(same(forgotten, (OPENER,), (OPENER,))) == "reopened-without-closing"


def test_a_cleanup_that_is_registered_after_an_await_never_runs() -> None:
    facts = code(after_await=True, cleanup=Cleanup.MISSING, late_cleanup="onCleanup", mounted=0)
    text = fix(same(facts))
    assert "`onCleanup` never runs" in text and "before the first await" in text
    assert "never runs" not in fix(same(code(after_await=True, cleanup=Cleanup.MISSING, mounted=0)))


@pytest.mark.parametrize(
    ("effect", "line"),
    [
        ("onActivated", "onDeactivated(() => socket.disconnect())"),
        ("activated", "deactivated() { socket.disconnect();"),
    ],
)
def test_a_component_that_is_kept_alive_closes_when_it_is_hidden(effect: str, line: str) -> None:
    vue = (CodeLocation("src/Map.vue", 4, 2),) * 2
    assert line in fix(same(code(effect=effect, cleanup=Cleanup.MISSING, mounted=1), vue, vue))
    mounted = code(effect="onMounted", cleanup=Cleanup.MISSING, mounted=1)
    assert "onUnmounted" in fix(same(mounted, vue, vue))


def test_two_workers_of_one_script_are_left_by_their_component() -> None:
    workers: dict[str, Any] = {"target": ("worker http://h/w.js",) * 2}
    conversation = same(code(CallContext.EVENT_HANDLER, guarded=True), document=(4, 5), **workers)
    assert why(conversation) == "unmount-without-cleanup" and "worker.terminate()" in fix(conversation)
    once = same(code(CallContext.EVENT_HANDLER, guarded=True), document=(4, 4), **workers)
    assert "terminate" not in fix(once)


def test_a_service_belongs_to_the_component_that_creates_it() -> None:
    for context in (CallContext.CONSTRUCTOR, CallContext.SETUP):
        facts = code(context, holder="class", owner="TideFeed", mounted=1)
        assert why(same(facts, (OPENER, DASHBOARD), (OPENER, WIZARD))) == "two-openers"
        assert why(same(facts, (OPENER, DASHBOARD), (OPENER, DASHBOARD))) != "two-openers"


def test_an_effect_that_leaves_a_connection_for_each_address() -> None:
    def leaves(answer: float, **facts: Any) -> str | None:
        return why(asked(code(cleanup=Cleanup.MISSING, mounted=1, **facts), answer, *((OPENER, *EFFECT),) * 3))

    assert leaves(0.1) == "unmount-without-cleanup"
    assert leaves(9) == "forced-new-connection", "one run opened them, for example a loop"
    assert why(asked(code(cleanup=Cleanup.CLOSES, mounted=1), 0.1)) == "forced-new-connection"


def in_strict_mode(*functions: str) -> tuple[tuple[CodeLocation, ...], ...]:
    """Return two stacks of one render, in which React called the first function from two of its lines."""
    calls = [CodeLocation("node_modules/react-dom/index.js", line, 9, functions[0]) for line in (8650, 8654)]
    return tuple((OPENER, call, *react(*functions[1:])) for call in calls)


@pytest.mark.parametrize("context", [CallContext.STATE_INITIALISER, CallContext.MEMO])
def test_strict_mode_initialiser(context: CallContext) -> None:
    facts = code(context, mounted=1)
    twice = in_strict_mode("mountStateImpl", "mountState", "renderWithHooks", "beginWork")
    assert why(same(facts, *twice)) == "strict-mode-initialiser"
    remounted = (OPENER, *react("mountStateImpl", "mountState", "renderWithHooks", "beginWork"))
    assert why(same(facts, remounted, remounted)) == "unmount-without-cleanup"
    assert "state initialiser" not in fix(same(facts, *twice))


def test_a_guarded_render_in_strict_mode_is_no_render_that_opens_each_time() -> None:
    guarded, twice = (
        code(CallContext.RENDER, guarded=True),
        in_strict_mode("renderWithHooks", "mountComponent", "beginWork"),
    )
    assert why(same(guarded, *twice)) == "strict-mode-initialiser"
    assert why(same(code(CallContext.RENDER), *twice)) == "io-in-render"


def test_io_in_the_body_of_a_component_of_a_production_build() -> None:
    """The names of React's functions are minified: only the code shows that it renders."""
    minified = (OPENER, CodeLocation("http://h/react.js", 1, 900, "xe"))
    assert why(same(code(CallContext.RENDER), minified, minified)) == "io-in-render"
    assert why(same(code(CallContext.EFFECT, cleanup=Cleanup.MISSING), minified, minified)) == "unmount-without-cleanup"


def test_an_effect_with_a_client_that_each_render_creates() -> None:
    found = cause(same(code(of_render="hub", mounted=1, dependencies=("hub",))))
    assert found is not None and (found.id, found.confidence) == ("io-in-render", "high")
    assert "`const [hub] = useState(() => ...)`" in found.fix
    assert why(same(code(of_render="hub", mounted=2))) == "two-openers"


def test_opened_on_disconnect() -> None:
    assert why(same(code(CallContext.DISCONNECT_HANDLER))) == "opened-on-disconnect"


LINK, FIRST, AGAIN = (
    CodeLocation("src/link.js", 4, 9),
    CodeLocation("src/link.js", 20, 1),
    CodeLocation("src/a.js", 9, 5),
)


def lost_and_reopened(
    first: tuple[CodeLocation, ...], again: tuple[CodeLocation, ...], *, reason: str = "transport close", **third: Any
) -> Conversation:
    """A connection is lost; its disconnect handler opens another, and after that the client reconnects the first."""
    by_page: dict[str, Any] = {"opener": first[0], "stack": first, "code": code(CallContext.MODULE, assigned_to="link")}
    handler: dict[str, Any] = {
        "opener": again[0],
        "stack": again,
        "code": code(CallContext.DISCONNECT_HANDLER, assigned_to="link"),
    }
    conversation = user("A", page="tab-1").connects("s1", at=0, **by_page).disconnects("s1", at=3, reason=reason)
    return conversation.connects("s2", at=3.4, **handler).connects("s3", at=3.6, **by_page | third).watched(until=60)


@pytest.mark.parametrize(
    ("first", "again"),
    [
        pytest.param((LINK, FIRST), (LINK, AGAIN), id="helper that both call"),
        pytest.param((LINK, FIRST), (LINK,), id="helper passed as the handler"),
        pytest.param((FIRST,), (AGAIN,), id="io() in the handler"),
    ],
)
def test_opened_on_disconnect_before_the_client_reconnected(
    first: tuple[CodeLocation, ...], again: tuple[CodeLocation, ...]
) -> None:
    found = cause(lost_and_reopened(first, again))
    assert found is not None and found.id == "opened-on-disconnect"
    assert str(again[0]) in found.because


def test_another_component_after_a_disconnect_handler_is_an_opener_of_its_own() -> None:
    other: dict[str, Any] = {"opener": WIZARD, "stack": (WIZARD,)}
    assert why(lost_and_reopened((FIRST,), (AGAIN,), **other)) == "two-openers"
    assert why(lost_and_reopened((FIRST,), (AGAIN,), reason="io client disconnect")) == "two-openers"


def given_up(reason: str, *, variables: tuple[str, str] = ("feed", "feed"), both: bool = False) -> Conversation:
    """The first connection ends, the code opens another with the same helper, and the first client reconnects."""
    library = CodeLocation("node_modules/stay-online/dist/index.mjs", 40, 7, "connect")
    first, again = (
        dict[str, Any](
            opener=LINK,
            stack=(library, LINK, caller),
            code=code(CallContext.FUNCTION, assigned_to=variable),
        )
        for caller, variable in ((FIRST, variables[0]), (AGAIN, variables[1]))
    )
    conversation = user("A", page="tab-1", protocol="websocket").connects("s1", at=0, **first)
    if both:
        conversation = conversation.connects("s2", at=1, **again).disconnects("s1", at=3, reason=reason)
    else:
        conversation = conversation.disconnects("s1", at=3, reason=reason).connects("s2", at=3.1, **again)
    return conversation.connects("s3", at=7, **first, reconnects="s1").watched(until=60)


def test_reconnection_not_cancelled() -> None:
    found = cause(given_up("io client disconnect"))
    assert found is not None and (found.id, found.confidence) == ("reconnection-not-cancelled", "high")
    assert f"the code closed the connection of {FIRST}" in found.because
    assert "the reconnection of stay-online" in found.fix


def test_a_client_that_reconnects_after_another_took_its_place() -> None:
    found = cause(given_up("transport close"))
    assert found is not None and (found.id, found.confidence) == ("reconnection-not-cancelled", "medium")
    assert f"the connection of {FIRST} was lost, {AGAIN} opened another" in found.because
    assert why(given_up("transport close", variables=("feed", "list"))) == "two-openers"


def test_two_clients_that_were_open_before_are_two_openers() -> None:
    assert why(given_up("transport close", both=True)) == "two-openers"
    assert why(given_up("io client disconnect", both=True)) == "two-openers"


RERUN = (CodeLocation("node_modules/react-dom/cjs/react-dom.js", 9, 1, "commitDoubleInvokeEffectsInDEV"),)


def test_a_client_that_opens_after_the_cleanup_closed_it() -> None:
    closes = code(cleanup=Cleanup.CLOSES, mounted=1)
    twice = (OPENER, *EFFECT), (OPENER, *RERUN, *EFFECT)
    found = cause(same(closes, *twice, apart=0.004))
    assert found is not None and (found.id, found.confidence) == ("opened-after-cleanup", "medium")
    assert "before it opens the connection" in found.fix
    assert why(same(code(cleanup=Cleanup.CLOSES, mounted=2), *twice)) == "two-openers"
    assert why(same(code(cleanup=Cleanup.MISSING, mounted=1), *twice)) == "effect-without-cleanup"
    assert why(same(closes, twice[0], twice[0], apart=0.004)) == "unmount-without-cleanup", "one run may open two"


@pytest.mark.parametrize("context", [CallContext.EVENT_HANDLER, CallContext.FUNCTION, CallContext.MODULE])
def test_reopened_without_closing(context: CallContext) -> None:
    stacks = (OPENER, DASHBOARD), (OPENER, WIZARD)
    assert why(same(code(context, overwrites=True), *stacks)) == "reopened-without-closing"
    assert why(same(code(context), (OPENER,), (OPENER,))) == "reopened-without-closing"
    assert why(same(code(context, guarded=True), (OPENER,), (OPENER,))) == "unmount-without-cleanup"
    if context is not CallContext.EVENT_HANDLER:
        assert why(same(code(context), *stacks)) == "two-openers", "two callers, each with a connection of its own"


def asked(
    facts: OpenerCode | None, answer: float, *stacks: tuple[CodeLocation, ...], parameter: str = "lamp"
) -> Conversation:
    """Return three connections of one place, each with a query of its own, answered `answer` after their requests."""
    conversation = user("A", page="tab-1", code=facts)
    for n, stack in enumerate(stacks or ((OPENER,),) * 3):
        conversation.attempts(at=n, eio=f"e{n}", stack=stack)
        where = {"eio": f"e{n}", "url": f"http://h/?{parameter}={n}"}
        conversation.connects(f"s{n}", at=n + answer, opener=OPENER, stack=stack, **where)
    conversation.events.sort(key=lambda event: event.at or 0.0)
    return conversation.watched(until=60)


@pytest.mark.parametrize(
    ("context", "answer"),
    [
        pytest.param(CallContext.EVENT_HANDLER, 0.1, id="listener"),
        pytest.param(CallContext.EVENT_HANDLER, 9, id="listener, slow network"),
        pytest.param(CallContext.MODULE, 0.1, id="interval"),
        pytest.param(CallContext.FUNCTION, 0.1, id="message handler of a library"),
    ],
)
def test_code_that_runs_again_is_the_cause_rather_than_its_different_addresses(
    context: CallContext, answer: float
) -> None:
    found = cause(asked(code(context, forces_new=True), answer))
    assert found is not None and found.id == "reopened-without-closing"
    assert "queries (`lamp`) differ" in found.because
    assert "instead of in the URL" in found.fix and "forceNew" in found.fix


def test_different_addresses_are_the_cause_where_one_run_or_two_callers_opened_them() -> None:
    assert why(asked(code(CallContext.MODULE), 9)) == "forced-new-connection", "a loop over the lamps"
    assert why(asked(code(CallContext.EVENT_HANDLER, guarded=True), 0.1)) == "forced-new-connection"
    callers = (OPENER, DASHBOARD), (OPENER, WIZARD)
    assert why(asked(code(CallContext.FUNCTION), 0.1, *callers)) == "forced-new-connection"
    assert why(asked(None, 0.1)) == "forced-new-connection"


def test_a_listener_that_overwrites_the_connection_of_the_module() -> None:
    facts = code(CallContext.MODULE), code(CallContext.EVENT_HANDLER, overwrites=True, forces_new=True)
    conversation = opened((CodeLocation("src/a.ts", 4, 9),), (CodeLocation("src/a.ts", 8, 9),), code=facts)
    assert why(conversation) == "reopened-without-closing" and "forceNew" in fix(conversation)
    other = code(CallContext.EVENT_HANDLER, assigned_to="feed", overwrites=True)
    assert why(opened((DASHBOARD,), (WIZARD,), code=(code(CallContext.MODULE), other))) == "two-openers"


def test_signing_out_forgets_the_connection() -> None:
    facts = code(CallContext.MODULE, overwrites=True, dropped_at="src/session.ts:13")
    conversation = same(facts, (OPENER,), (OPENER,), fingerprint=("x", "y"))
    assert why(conversation) == "reopened-without-closing" and "src/session.ts:13" in fix(conversation)


# --- scripts, frames, workers ----------------------------------------------------------------------------------------


def scripts(*names: str, **each: Any) -> Conversation:
    urls = tuple(f"http://h/{name}.js" for name in names)
    return opened(*[(MODULE,)] * 2, **{"script": urls, "client": urls, **each})


def test_script_ran_twice() -> None:
    assert why(scripts("a", "a", run=(1, 2), document=(1, 1))) == "script-ran-twice"
    assert why(scripts("a", "a", run=(1, 1), document=(1, 2))) == "unmount-without-cleanup", "another page load"


def test_a_module_of_webpack_that_ran_again_is_hot_reload() -> None:
    again: dict[str, Any] = {
        "script": ("webpack-internal:///./src/App.vue",) * 2,
        "client": ("http://h/v.js",) * 2,
        "run": (1, 2),
    }
    assert why(opened((MODULE,), (MODULE,), document=(1, 1), **again)) == "hot-reload"


def test_module_in_two_bundles() -> None:
    conversation = scripts("a", "b")
    assert why(conversation) == "module-in-two-bundles" and "npm" not in fix(conversation)
    assert why(scripts("a", "b", client=("http://h/v.js",) * 2)) == "hot-reload"


def test_micro_frontends() -> None:
    urls = ("http://h/shell.js", "http://h/labels.js")
    assert why(opened((DASHBOARD,), (WIZARD,), script=urls, client=urls)) == "micro-frontends"
    assert why(opened((DASHBOARD,), (WIZARD,), script=urls, client=urls[:1] * 2)) == "two-openers"


def test_frame_and_parent() -> None:
    assert why(opened((MODULE,), (MODULE,), target=(PAGE, FRAME))) == "frame-and-parent"
    assert why(opened((MODULE,), (MODULE,), target=(FRAME, FRAME))) == "unmount-without-cleanup"


@pytest.mark.parametrize("kind", ["worker", "shared_worker", "service_worker"])
def test_page_and_worker(kind: str) -> None:
    workers = (PAGE, f"{kind} http://h/w.js")
    conversation = opened((DASHBOARD,), (WIZARD,), target=workers)
    assert why(conversation) == "page-and-worker" and str(DASHBOARD) in fix(conversation)


# --- namespaces ------------------------------------------------------------------------------------------------------


def chats(namespace: str, *packages: str) -> Conversation:
    libraries = [CodeLocation(f"node_modules/{name}/build/esm/index.js", 29, 1, "lookup") for name in packages]
    stacks = list(zip(libraries, (DASHBOARD, WIZARD), strict=True))
    conversation = user("A", page="tab-1")
    for n, stack in enumerate(stacks):
        where = {"eio": f"e{n}", "namespace": ("/chat", namespace)[n]}
        conversation.connects(f"s{n}", at=n, opener=stack[1], stack=stack, **where)
    return conversation.watched(until=60)


def test_two_copies_of_the_library_matter_only_to_namespaces() -> None:
    assert why(chats("/admin", "socket.io-client", "sio47")) == "two-bundles"
    assert why(chats("/chat", "socket.io-client", "sio47")) == "two-openers", "one copy would open two connections too"
    assert why(chats("/admin", "socket.io-client", "socket.io-client")) == "two-openers"


def test_namespaces_that_are_forced_apart() -> None:
    forced = code(CallContext.MODULE, forces_new=True)
    two: dict[str, Any] = {"code": (forced, forced), "url": ("http://h/",) * 2, "eio": ("e1", "e2")}
    conversation = opened((DASHBOARD,), (WIZARD,), namespace=("/", "/admin"), **two)
    assert why(conversation) == "forced-new-connection" and "Remove forceNew" in fix(conversation)
    assert why(opened((DASHBOARD,), (WIZARD,), namespace=("/", "/"), **two)) == "two-openers"


# --- several causes --------------------------------------------------------------------------------------------------


def test_a_second_cause_stands_beside_the_first() -> None:
    leak = code(cleanup=Cleanup.MISSING, mounted=1)
    stacks = (DASHBOARD, *EFFECT), (OPENER, *EFFECT), (OPENER, *EFFECT)
    conversation = opened(*stacks, code=(code(mounted=1), leak, leak))
    judge = Judge()
    for event in conversation.events:
        judge.feed(event)
    history = judge._histories.history("A")
    assert [each.id for each in probable_causes("multiple-connections", history)] == [
        "two-openers",
        "unmount-without-cleanup",
    ]


# --- patches ---------------------------------------------------------------------------------------------------------


def patch(file: str) -> Patch:
    return Patch(file=file, replacements=[], diff=f"--- a/{file}")


def patched_file(conversation: Conversation) -> str | None:
    """Return the file that the patch of the finding changes, None if the finding has no patch."""
    found = next(each for each in judged(DOCUMENTED, conversation) if each.rule == "multiple-connections")
    return found.patch.file if found.patch is not None else None


def test_the_patch_of_the_opener_is_that_of_the_finding() -> None:
    leak = code(cleanup=Cleanup.MISSING, mounted=1, patch=patch("src/a.ts"))
    assert patched_file(same(leak)) == "src/a.ts"
    shared = code(cleanup=Cleanup.MISSING, mounted=2, patch=patch("src/a.ts"))
    assert patched_file(same(shared)) is None, "a cleanup does not remove the second opener"


# --- effects that run again ------------------------------------------------------------------------------------------


def swapping(
    facts: OpenerCode | None, pause: float = 0.01, *, tokens: bool = False, stack: Any = EFFECT
) -> Conversation:
    """The client closes its connection and opens the next after `pause`, once a second."""
    conversation = user("A", page="tab-1")
    for n in range(8):
        token = f"t{n}" if tokens else "t"
        conversation.attempts(at=n).connects(
            f"s{n}", at=n, opener=OPENER, stack=(OPENER, *stack), code=facts, fingerprint=token
        )
        conversation.disconnects(f"s{n}", at=n + 1 - pause, reason="io client disconnect")
    return conversation


@pytest.mark.parametrize("pause", [0.01, 0.4])
def test_unstable_dependency(pause: float) -> None:
    found = cause(swapping(code(dependencies=("user",), cleanup=Cleanup.CLOSES), pause), "excessive-attempts")
    assert found is not None and found.id == "unstable-dependency" and "`user`" in found.fix


def test_a_subscription_that_is_new_with_each_render() -> None:
    facts = code(effect="useSyncExternalStore", cleanup=Cleanup.CLOSES, holder="hook")
    found = cause(swapping(facts), "excessive-attempts")
    assert found is not None and found.id == "unstable-dependency"
    assert "outside of the component" in found.fix and "useCallback" in found.fix


@pytest.mark.parametrize("pause", [0.01, 0.4])
def test_the_dependencies_decide_why_an_effect_runs_again(pause: float) -> None:
    def found(facts: OpenerCode | None, **more: Any) -> tuple[str, str] | None:
        one = cause(swapping(facts, pause, **more), "excessive-attempts")
        return None if one is None else (one.id, one.confidence)

    closes: dict[str, Any] = {"cleanup": Cleanup.CLOSES}
    assert found(code(dependencies=("user",), **closes)) == ("unstable-dependency", "high")
    assert found(code(dependencies=None, **closes)) == ("unstable-dependency", "high")
    assert found(code(dependencies=(), **closes)) == ("component-remounted", "medium")
    assert found(code(dependencies=("token",), **closes), tokens=True) == ("token-in-dependencies", "high")
    assert found(code(dependencies=("token",), **closes)) == ("unstable-dependency", "high")
    assert found(None) == ("unstable-dependency", "medium"), "an effect, whose code is unknown"
    assert found(None, stack=()) is None
    assert found(code(CallContext.CONSTRUCTOR)) is None, "the instance may belong to a component"


def test_token_in_dependencies() -> None:
    found = cause(swapping(code(dependencies=("url", "token")), tokens=True), "excessive-attempts")
    assert found is not None and "`[url]`" in found.fix and "auth: (send)" in found.fix


def test_component_remounted() -> None:
    assert why(swapping(code(holder="component", assigned_to="this.s")), "excessive-attempts") == "component-remounted"


# --- code outside of components that opens for each action -----------------------------------------------------------


@pytest.mark.parametrize("pause", [0.01, 0.4])
@pytest.mark.parametrize(
    "context",
    [CallContext.EVENT_HANDLER, CallContext.FUNCTION, CallContext.MODULE],
)
def test_opened_per_action(context: CallContext, pause: float) -> None:
    found = cause(swapping(code(context, assigned_to="probe", forces_new=True), pause, stack=()), "excessive-attempts")
    assert found is not None and (found.id, found.confidence) == ("opened-per-action", "high")
    assert "`probe.emitWithAck(...)`" in found.fix and "forceNew" in found.fix
    plain = cause(swapping(code(context), pause, stack=()), "excessive-attempts")
    assert plain is not None and "forceNew" not in plain.fix


@pytest.mark.parametrize(("variable", "named"), [("feed", "socket !== feed"), ("", "socket !== current")])
def test_a_close_handler_that_answers_a_close_of_its_own_code(variable: str, named: str) -> None:
    facts = code(CallContext.DISCONNECT_HANDLER, assigned_to=variable)
    found = cause(swapping(facts, 0.4, stack=()), "excessive-attempts")
    assert found is not None and (found.id, found.confidence) == ("opened-on-disconnect", "high")
    assert named in found.fix and "emitWithAck" not in found.fix


@pytest.mark.parametrize("context", [CallContext.FUNCTION, CallContext.EVENT_HANDLER])
def test_runs_of_a_function_that_closes_its_connection_at_the_end(context: CallContext) -> None:
    conversation = same(code(context, cleanup=Cleanup.CLOSES), (OPENER,), (OPENER,))
    assert why(conversation) == "opened-per-action" and "outside of the code that runs again" in fix(conversation)
    assert why(same(code(context), (OPENER,), (OPENER,))) == "reopened-without-closing"


@pytest.mark.parametrize("protocol", ["websocket", "sse", None])
def test_a_connection_for_each_run_is_the_cause_rather_than_its_different_addresses(protocol: str | None) -> None:
    where = {"protocol": (protocol,) * 2, "url": ("http://h/export?file=1", "http://h/export?file=2")}
    closing = same(code(CallContext.FUNCTION, cleanup=Cleanup.CLOSES), (OPENER,), (OPENER,), apart=0.01, **where)
    assert why(closing) == "opened-per-action"
    kept = same(code(CallContext.FUNCTION), (OPENER,), (OPENER,), apart=0.01, **where)
    assert why(kept) == "forced-new-connection"


def test_opened_per_action_is_no_effect_that_calls_code_elsewhere() -> None:
    assert why(swapping(code(CallContext.FUNCTION), stack=EFFECT), "excessive-attempts") is None


@pytest.mark.parametrize(
    ("context", "expected"), [(CallContext.EVENT_HANDLER, "opened-per-action"), (CallContext.FUNCTION, None)]
)
def test_opened_per_action_that_wscheck_performs(context: CallContext, expected: str | None) -> None:
    """A listener runs at each click. A view that was visited again did not run by itself."""
    conversation = swapping(code(context), 0.4, stack=())
    for n in range(8):
        conversation.acts(at=n + 0.8, action="click")
    conversation.events.sort(key=lambda event: event.at or 0.0)
    assert why(conversation, "excessive-attempts") == expected


def test_two_openers_that_a_server_ends_in_turn_have_both_causes() -> None:
    conversation = user("A", page="tab-1")
    for n in range(12):
        place = (DASHBOARD, WIZARD)[n % 2]
        conversation.attempts(at=n, eio=f"e{n}").connects(f"s{n}", at=n, opener=place, stack=(place,), eio=f"e{n}")
        if n:
            conversation.disconnects(f"s{n - 1}", at=n + 0.1, reason="transport close")
    judge = Judge()
    for event in conversation.watched(until=60).events:
        judge.feed(event)
    found = probable_causes("excessive-attempts", judge._histories.history("A"))
    assert [each.id for each in found] == ["two-openers", "transport-closed"]


def test_attempts_that_the_server_ends_are_not_opened_per_action() -> None:
    conversation = user("A", page="tab-1")
    for n in range(8):
        facts = code(CallContext.DISCONNECT_HANDLER)
        conversation.attempts(at=n).connects(f"s{n}", at=n, opener=OPENER, stack=(OPENER,), code=facts)
        conversation.disconnects(f"s{n}", at=n + 0.5, reason="io server disconnect")
    assert why(conversation, "excessive-attempts") == "reconnect-on-kick"


def called(*functions: str, package: str = "react") -> tuple[CodeLocation, ...]:
    """Return frames of a framework, the innermost first."""
    return tuple(CodeLocation(f"node_modules/{package}/index.js", 10 + at, 5, f) for at, f in enumerate(functions))


@pytest.mark.parametrize(
    ("context", "between"),
    [
        (CallContext.SETUP, called("run", package="@vue/reactivity")),
        (CallContext.SETUP, called("runWithContext", package="@vue/runtime-core")),
        (CallContext.STATE_INITIALISER, called("mountStateImpl", "mountState", "useState", package="react-dom")),
        (CallContext.MEMO, called("updateMemo", "exports.useMemo", package="react-dom")),
    ],
)
def test_a_framework_that_runs_a_hook_at_once_does_not_hide_the_components(
    context: CallContext, between: tuple[CodeLocation, ...]
) -> None:
    mount = called("mountComponent", "patch", package="react-dom")
    hook = CodeLocation("src/useTide.ts", 18, 3, "useTide")
    facts = code(context, holder="hook", owner="useTide")
    stacks = [(OPENER, *between, hook, component, *mount) for component in (DASHBOARD, WIZARD)]
    assert why(same(facts, *stacks, apart=0.004)) == "two-openers"
    assert why(same(facts, stacks[0], stacks[0], apart=0.004)) != "two-openers"
    scheduled = [
        (OPENER, *called("flushJobs", package="react-dom"), hook, each, *mount) for each in (DASHBOARD, WIZARD)
    ]
    assert why(same(facts, *scheduled, apart=0.004)) != "two-openers", "the framework chose when to run it"


def test_discarded_render() -> None:
    rendered = (OPENER, *called("mountState", "useState", package="react-dom"), DASHBOARD)
    for context in (CallContext.STATE_INITIALISER, CallContext.MEMO):
        assert why(same(code(context, cleanup=Cleanup.CLOSES, mounted=1), rendered, rendered)) == "discarded-render"
        assert why(same(code(context, cleanup=Cleanup.UNKNOWN), rendered, rendered)) == "unmount-without-cleanup"
        assert why(same(code(context, cleanup=Cleanup.CLOSES, mounted=2), rendered, rendered)) == "two-openers"
