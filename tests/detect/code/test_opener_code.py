"""Facts about the code that opened a connection, from the frames of its stack."""

from textwrap import dedent

import pytest

from wscheck.detect.code.openings import call_at, opener_code
from wscheck.detect.code.syntax import SourceCode, node_text, parse_source
from wscheck.model.code_facts import CallContext, Cleanup, CodeLocation, OpenerCode

IMPORT = 'import { io } from "socket.io-client";\n'


ELEMENT = "class A extends HTMLElement {"


def frame(path: str, text: str, mark: str = "io(") -> tuple[CodeLocation, SourceCode]:
    """Return the frame at the last occurrence of `mark`."""
    content = IMPORT + dedent(text)
    before = content[: content.rindex(mark)]
    location = CodeLocation(path, before.count("\n") + 1, len(before) - before.rfind("\n"))
    return location, parse_source(path, content.encode())


def facts(text: str, path: str = "a.jsx") -> OpenerCode:
    code = opener_code([frame(path, text)])
    assert code is not None
    return code


def test_an_effect_that_waits_and_closes() -> None:
    code = facts("""
        function useFeed(token) {
          useEffect(() => {
            let socket;
            load().then(() => { socket = io("/", { forceNew: true }); });
            return () => socket?.disconnect();
          }, [token]);
        }
    """)
    assert (code.context, code.owner, code.holder) == (CallContext.EFFECT, "useFeed", "hook")
    assert (code.dependencies, code.cleanup, code.after_await) == (("token",), Cleanup.CLOSES, True)
    assert code.forces_new and not code.overwrites and code.assigned_to == "socket"


@pytest.mark.parametrize(
    ("text", "path", "cleanup"),
    [
        ("function useDock() { let s; onMounted(() => { s = io(); }); onUnmounted(() => s.close()); }", "a.ts", 1),
        (f"{ELEMENT} connectedCallback() {{ this.s=io() }} disconnectedCallback() {{ this.s.close() }} }}", "a.ts", 1),
        (f"{ELEMENT} connectedCallback() {{ this.s = io(); }} }}", "a.ts", 0),
        ("class A extends Component { componentDidMount() { this.s = io(); } render() { return <p/>; } }", "a.jsx", 0),
        ("function A() { const [s] = useState(() => io()); useEffect(() => () => s.close(), [s]); }", "a.jsx", 1),
        ("function A() { const s = useMemo(() => io()); useEffect(() => { return () => s.close() }); }", "a.jsx", 1),
        ("function A() { const [s] = useState(() => io()); useEffect(() => () => log()); return <p/> }", "a.jsx", 0),
    ],
)  # fmt: skip
def test_what_closes_when_the_component_leaves(text: str, path: str, cleanup: int) -> None:
    assert facts(text, path).cleanup is (Cleanup.CLOSES if cleanup else Cleanup.MISSING)


IO = "io('/')"


@pytest.mark.parametrize(
    ("text", "races"),
    [
        (f"create((set, get) => ({{ async open() {{ const old = get().s; if (old) return old; await ask();"
         f" const s = {IO}; set({{ s }}); return s; }} }}));", True),
        (f"let link; async function open() {{ if (link) return link; await ask(); link = {IO}; return link; }}", True),
        (f"class Feed {{ async start() {{ if (this.on) return; await ask(); this.on = 1; this.s = {IO}; }} }}", True),
        (f"let s; function start() {{ if (!s) {{ return ask().then(() => {{ s = {IO}; }}); }} }}", True),
        # A check after the wait, a flag that is set before it, a promise that is kept, no wait, no check.
        (f"let s; async function open() {{ if (s) return s; await ask(); if (s) return s; s = {IO}; }}", False),
        (f"let s, busy; async function open() {{ if (busy) return; busy = true; await ask(); s = {IO}; }}", False),
        (f"let p; const open = () => {{ if (p) return p; p = ask().then(() => {IO}); return p; }};", False),
        (f"let p; const open = () => (p ??= (async () => {{ await ask(); return {IO}; }})());", False),
        (f"let s; async function open() {{ await ask(); if (s) return s; s = {IO}; }}", False),
        (f"async function open() {{ const t = await ask(); const s = {IO}; return s; }}", False),
    ],
)  # fmt: skip
def test_a_check_that_precedes_a_wait_lets_two_calls_pass(text: str, races: bool) -> None:
    assert facts(text, "link.js").races is races


@pytest.mark.parametrize(
    ("text", "path", "cleanup", "late"),
    [
        ("export function useTide() { let s; onActivated(() => { s = io(); }); onUnmounted(() => s?.close()); }",
         "tide.js", Cleanup.MISSING, ""),
        ("export default { activated() { this.s = io(); }, beforeUnmount() { this.s.disconnect(); } };",
         "Tide.vue", Cleanup.MISSING, ""),
        ("export function useTide() { let s; onActivated(() => { s = io(); }); onDeactivated(() => s?.close()); }",
         "tide.js", Cleanup.CLOSES, ""),
        ("export function useTide() { let s; onActivated(() => { s?.close(); s = io(); }); }",
         "tide.js", Cleanup.UNKNOWN, ""),
        ("function Lock() { onMount(async () => { await ready(); const s = io(); onCleanup(() => s.close()); }); }",
         "Lock.jsx", Cleanup.MISSING, "onCleanup"),
        ("function useGate() { onMounted(() => ask().then(() => { const s = io(); onUnmounted(() => s.close()); })); }",
         "gate.ts", Cleanup.MISSING, "onUnmounted"),
        ("function Lock() { onMount(() => { const s = io(); onCleanup(() => s.close()); }); }",
         "Lock.jsx", Cleanup.CLOSES, ""),
        ("function useGate() { watch(a, async (now, old, onCleanup) => { await ask(); const s = io();"
         " onCleanup(() => s.close()); }); }",
         "gate.ts", Cleanup.CLOSES, ""),
    ],
)  # fmt: skip
def test_a_hook_that_does_not_run_closes_nothing(text: str, path: str, cleanup: Cleanup, late: str) -> None:
    script = f"<script>\n{text}\n</script>" if path.endswith(".vue") else text
    code = facts(script, path)
    assert (code.cleanup, code.late_cleanup) == (cleanup, late)


def test_a_function_that_waits_and_closes_its_connection() -> None:
    entry = "async onCacheEntryAdded(id, api) { const s = io(); await api.cacheEntryRemoved; s.disconnect(); }"
    assert facts(f"export const api = {{ {entry} }};").cleanup is Cleanup.CLOSES
    ask = "async function ask(q) { const s = io(); try { return await s.emitWithAck(q); } finally { s.close(); } }"
    assert facts(ask).cleanup is Cleanup.CLOSES
    assert facts("export async function ask(q) { const s = io(); return s.emitWithAck(q); }").cleanup is Cleanup.UNKNOWN
    closes_first = "let s; export async function ask() { s?.close(); await ready(); s = io(); }"
    assert facts(closes_first).cleanup is Cleanup.UNKNOWN


@pytest.mark.parametrize(
    ("text", "closes"),
    [
        ("const s = io(); s.on('ready', m => { show(m); s.close(); });", True),
        ("let s; go().then(() => { s = io(); s.onmessage = async m => { if (m.done) s.close(); }; });", True),
        ("const s = io(); s.addEventListener('progress', e => setTimeout(() => s.disconnect(), e.wait));", True),
        ("const s = io(); s.onerror = () => s.close();", False),
        ("const s = io(); s.on('connect_error', () => s.close());", False),
        ("const s = io(); s.onmessage = m => show(m); return () => s.close();", False),
        ("const s = io(); other.onmessage = () => s.close();", False),
        ("this.s = io(); this.s.onmessage = () => this.s.close();", False),
        ("kept = io(); kept.onmessage = () => kept.close();", False),
    ],
)
def test_a_function_that_closes_its_connection_in_a_handler_of_its_messages(text: str, *, closes: bool) -> None:
    code = facts(f"let kept; export function run(q) {{ {text} }}")
    assert code.context is CallContext.FUNCTION
    assert (code.cleanup is Cleanup.CLOSES) is closes


def test_a_subscription_to_an_external_store_is_an_effect() -> None:
    code = facts("""
        export function useTide(user) {
          return useSyncExternalStore((notify) => { const s = io(); return () => s.close(); }, () => 1);
        }
    """)
    assert (code.context, code.effect, code.dependencies) == (CallContext.EFFECT, "useSyncExternalStore", None)
    assert (code.cleanup, code.holder) == (Cleanup.CLOSES, "hook")


def test_the_stack_names_the_caller_of_a_service() -> None:
    service = frame("socket.js", "export function connect() { return io('/'); }\nconst other = () => connect();")
    effect = frame(
        "board.jsx",
        """
        export function Board() {
          useEffect(() => { const s = connect(); return () => s.disconnect(); }, []);
          return <Feed.Provider value={1} />;
        }
        """,
        "connect(); return",
    )
    code = opener_code([service, effect])
    assert code is not None
    assert (code.context, code.owner, code.holder, code.frames) == (CallContext.EFFECT, "Board", "component", 2)
    assert code.cleanup is Cleanup.CLOSES and code.provides and code.assigned_to == "s"
    keeps = frame("feed.js", "class Feed { open() { this.link = io(); return this.link; } }")
    cell = frame("cell.jsx", "function Cell() { useEffect(() => { feed.open(); }, []); return <p/>; }", "open(")
    kept = opener_code([keeps, cell])
    assert kept is not None and (kept.owner, kept.assigned_to) == ("Cell", ""), "the variable is the service's"
    bus = frame("bus.js", "class Bus { constructor() { this.link = io(); } }")
    page = "function list() { return new Bus(); }\nlist();"
    built = opener_code([bus, frame("a.js", page, "new Bus"), frame("a.js", page, "list();")])
    assert built is not None and (built.context, built.overwrites) == (CallContext.MODULE, False)
    alone = opener_code([service])
    assert alone is not None and (alone.context, alone.frames) == (CallContext.FUNCTION, 1)


GETS = """
let link;
async function getLink() { %s }
function keep(made) { return (link = made); }
export async function subscribe(room) { const made = await getLink(); return made.open(room); }
"""


@pytest.mark.parametrize(
    ("body", "races"),
    [
        ("if (link) return link; const { make } = await import('./make'); return keep(make());", True),
        ("if (link) { return link; } await ready(); link = make(); return link;", True),
        ("if (!link) { const { make } = await import('./make'); link = make('/c'); } return link;", True),
        ("if (link === undefined) { await ready(); keep(make()); } return link;", True),
        ("if (link) return link; link = make(); await link.opened; return link;", False),
        ("if (!link) { link = make('/c'); await link.opened; } return link;", False),
        ("if (!quiet) { await ready(); log('ready'); } return (link ??= make());", False),
        ("return link || keep(import('./make').then((m) => m.make()));", False),
        ("await ready(); return make();", False),
    ],
)
def test_a_wait_for_a_function_that_checks_before_it_waits(body: str, races: bool) -> None:
    code = opener_code([frame("a.js", GETS % body, "open(room)")])
    assert code is not None and code.races is races


@pytest.mark.parametrize(
    ("body", "variable"),
    [
        ("const hub = createHub(); useEffect(() => { hub.room(id).open(); }, [hub, id]);", "hub"),
        ("const link = new Link(url); useEffect(() => { const r = link.room(id); r.on(f).open(); });", "link"),
        ("const api = sdk.makeClient(); useEffect(() => { api.open(); }, [api]);", "api"),
        # A hook, a memo, a state, a parameter, a variable of the module or of the effect.
        ("const hub = useHub(); useEffect(() => { hub.open(); }, [hub]);", ""),
        ("const hub = useMemo(() => createHub(), []); useEffect(() => { hub.open(); }, [hub]);", ""),
        ("const [hub] = useState(() => createHub()); useEffect(() => { hub.open(); }, []);", ""),
        ("useEffect(() => { props.hub.open(); }, [props.hub]);", ""),
        ("useEffect(() => { const hub = createHub(); hub.open(); }, []);", ""),
        ("const hub = getHub(); useEffect(() => { hub.open(); }, [hub]);", ""),
    ],
)
def test_a_client_that_the_component_creates_at_each_render(body: str, variable: str) -> None:
    code = opener_code([frame("a.jsx", f"function Room({{ id, ...props }}) {{ {body} return <p/>; }}", "open(")])
    assert code is not None and (code.context, code.of_render) == (CallContext.EFFECT, variable)


def test_a_wait_for_a_function_of_another_file_is_not_judged() -> None:
    text = "import { getLink } from './b';\nasync function subscribe() { const s = await getLink(); return s.open(1); }"
    code = opener_code([frame("a.js", text, "open(1)")])
    assert code is not None and not code.races


DIALS = """
function dial() { const s = io(); s.on("disconnect", %s); }
%s
dial(); // at start
"""


@pytest.mark.parametrize(
    ("handler", "more", "mark"),
    [
        ("() => { setTimeout(dial, 400); }", "", "setTimeout("),
        ("lost", "function lost() { setTimeout(() => dial(), 9); }", "dial(), 9"),
        ("(why) => later(why)", "const later = (why) => { dial(); };", "dial(); }"),
    ],
)
def test_a_helper_of_a_disconnect_handler_that_the_module_calls_too(handler: str, more: str, mark: str) -> None:
    text = DIALS % (handler, more)
    again = opener_code([frame("a.js", text), frame("a.js", text, mark)])
    assert again is not None and again.context is CallContext.DISCONNECT_HANDLER
    first = opener_code([frame("a.js", text), frame("a.js", text, "dial(); // at")])
    assert first is not None and first.context is CallContext.MODULE


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("addEventListener('visibilitychange', () => ask());", "event-handler"),
        ("addEventListener('message', onMessage); async function onMessage() { await ask(); }", "event-handler"),
        ("port.onmessage = ({ data }) => { if (data.ask) ask(); };", "event-handler"),
        ("setInterval(() => ask(), 500);", "module"),
        ("async function poll() { await ask(); setTimeout(poll, 500); } poll();", "module"),
    ],
)
def test_a_helper_that_listeners_and_timers_call(text: str, expected: str) -> None:
    text = f"async function ask() {{ const s = io(); await done(s); s.disconnect(); }}\n{text}"
    code = opener_code([frame("a.js", text), frame("a.js", text, "ask()")])
    assert code is not None and (code.context, code.overwrites) == (expected, False)


@pytest.mark.parametrize(
    ("text", "context", "overwrites"),
    [
        ("let s; function open() { s = io(); s.on('close', () => setTimeout(open, 9)); }", "disconnect-handler", True),
        ("let s; function raise() { s = io(); s.on('disconnect', raise); } raise();", "disconnect-handler", True),
        ("let s; const join = () => { s = io(); button.addEventListener('click', join); };", "event-handler", True),
        ("let s; function open(n) { s = io(); if (n) open(n - 1); }", "function", True),
        ("let s; addEventListener('focus', () => { s = io(); });", "event-handler", True),
        ("let s; addEventListener('focus', () => { s?.disconnect(); s = io(); });", "event-handler", False),
        ("let s; addEventListener('focus', () => { if (!s) s = io(); });", "event-handler", False),
        ("addEventListener('focus', () => { const s = io(); });", "event-handler", False),
        ("const relay = () => { let s; return (next) => (action) => { s = io(); }; };", "function", True),
        ("class Service { open() { this.s = io(); } }", "function", True),
        ("class Service { constructor() { this.s = io(); } }", "constructor", False),
        ("function A() { const join = () => { io(); }; return <b onClick={join}/>; }", "event-handler", False),
    ],
)  # fmt: skip
def test_a_variable_that_is_overwritten_without_a_close(text: str, context: str, overwrites: bool) -> None:
    code = facts(text)
    assert (code.context, code.overwrites) == (context, overwrites)


def test_a_call_that_the_file_does_not_show_to_connect() -> None:
    """A hook of a library, whose stack shows that it opens a connection."""
    code = opener_code([frame("a.jsx", "function Chat() { const s = useSocket('/'); return <p/>; }", "useSocket(")])
    assert code is not None and (code.context, code.owner) == (CallContext.RENDER, "Chat")


def test_a_source_of_another_version_has_no_facts() -> None:
    location, source = frame("a.js", "io();")
    assert opener_code([(CodeLocation("a.js", location.line + 90, 1), source)]) is None
    assert opener_code([]) is None


def test_the_call_at_a_location_is_the_nearest_to_the_column() -> None:
    source = parse_source("a.js", b'import { io } from "socket.io-client";\nconst a = io(A), b = io(B);\n')
    found = [call_at(source, CodeLocation("a.js", 2, column)) for column in (11, 22)]
    assert [node_text(node) for node in found] == ["io(A)", "io(B)"]
    assert call_at(source, CodeLocation("a.js", 9, 1)) is None
    source = parse_source("a.js", b'import { io } from "socket.io-client";\nconst a = io(A)||io(B);\n')
    assert node_text(call_at(source, CodeLocation("a.js", 2, 14))) == "io(A)"
