"""Findings about several files: the rules of `wscheck scan`."""

import pytest

from wscheck.detect.code.packages import Package, parse_manifest
from wscheck.detect.code.source_tree import FileFacts, file_facts, find_uses, findings_in, may_have_facts, shared_urls
from wscheck.model.findings import Confidence, Finding, Severity

IMPORTS = 'import { useA } from "./a"; import { useB } from "./b";\n'
BOTH = "function Both() { useA(); useB(); return <p/> }"
HOOK = (
    'import { io } from "socket.io-client"; import { url } from "./session";\n'
    "export function NAME() { useEffect(() => { const s = io(url); return () => s.close() }, []) }"
)


def facts_of(files: dict[str, str]) -> list[FileFacts]:
    return [file_facts(path, code.encode()) for path, code in files.items()]


def found_in(**files: str) -> list[Finding]:
    """Return the findings about files, whose names are given with `_` for the dot: `feed_ts`."""
    named = {name.replace("_", "."): code for name, code in files.items()}
    facts = facts_of(named)
    calls = [
        *(call for group in shared_urls(facts) for call in group),
        *(call for file in facts for call in file.repeated),
    ]
    names = frozenset(call.owner for call in calls)
    exports = {file.path: file.default_export for file in facts if file.default_export in names}
    uses = [use for path, code in named.items() for use in find_uses(names, path, code.encode(), exports)]
    return findings_in(facts, uses if names else [])


def test_two_hooks_that_open_one_url_are_named_with_their_users() -> None:
    page = f"{IMPORTS}function Left() {{ useA(); return <p/> }}\nfunction Right() {{ useB(); return <p/> }}"
    (finding,) = found_in(a_ts=HOOK.replace("NAME", "useA"), b_ts=HOOK.replace("NAME", "useB"), page_tsx=page)
    assert finding.message == (
        "2 places open a connection to url: useA (a.ts:2:54), used by Left (page.tsx:2); "
        "useB (b.ts:2:54), used by Right (page.tsx:3)"
    )
    assert (finding.rule, finding.severity, finding.confidence) == (
        "opened-in-several-places",
        Severity.WARNING,
        Confidence.MEDIUM,
    )
    assert finding.cause is not None
    assert finding.cause.settle_by == "`wscheck browser URL` shows whether both are open at the same time"
    assert [str(location) for location in finding.locations] == ["a.ts:2:54", "b.ts:2:54"]


LINK = """import io from "socket.io-client";
function link() { return io(address(), { query: { token: localStorage.token } }); }
EXPORT
"""
USES = """import { useEffect } from "react";
IMPORT
export function NAME() { useEffect(() => { const feed = LOCAL(); return () => feed.disconnect(); }, []); return <p/>; }
"""


@pytest.mark.parametrize(
    ("export", "imported", "local"),
    [
        ("export default link;", 'import openFeed from "./link";', "openFeed"),
        ("export { link };", 'import { link as connect } from "./link";', "connect"),
        ("module.exports = link;", 'const dial = require("./link");', "dial"),
    ],
)
def test_a_function_that_opens_for_each_component_is_known_by_any_name(export: str, imported: str, local: str) -> None:
    use = USES.replace("IMPORT", imported).replace("LOCAL", local)
    files = {"link_js": LINK.replace("EXPORT", export), "a_jsx": use.replace("NAME", "Inbox")}
    (finding,) = found_in(**files, b_jsx=use.replace("NAME", "Badge"))
    assert finding.rule == "opened-in-several-places"
    assert "for each component that uses it: Inbox (a.jsx:3), Badge (b.jsx:3)" in finding.message
    assert found_in(**files) == [], "one component opens one connection"


def test_another_default_export_of_the_file_is_no_use_of_the_function() -> None:
    page = LINK.replace("EXPORT", "export default function Panel() { return <p/>; }")
    use = USES.replace("IMPORT", 'import Panel from "./link";').replace("LOCAL", "Panel")
    assert found_in(link_jsx=page, a_jsx=use.replace("NAME", "A"), b_jsx=use.replace("NAME", "B")) == []


def test_one_component_that_calls_both_hooks_is_an_error() -> None:
    page = IMPORTS + BOTH
    (finding,) = found_in(a_ts=HOOK.replace("NAME", "useA"), b_ts=HOOK.replace("NAME", "useB"), page_tsx=page)
    assert (finding.severity, finding.cause and finding.cause.because) == (Severity.ERROR, "Both calls useA, useB")


@pytest.mark.parametrize(
    ("module", "opens", "fix"),
    [
        ("", 'new EventSource("/a")', "return () => socket.close()"),
        ('import W from "partysocket";', 'new W("/a")', "return () => socket.close()"),
        ('import Pusher from "pusher-js";', 'new Pusher("key")', "return () => socket.disconnect()"),
        ('import { io } from "socket.io-client";', 'io("/a")', "return () => socket.disconnect()"),
    ],
)
def test_a_fix_has_the_words_of_the_client(module: str, opens: str, fix: str) -> None:
    code = f"{module} function A() {{ useEffect(() => {{ const s = {opens}; s.x = 1 }}, []); return <p/> }}"
    (finding,) = found_in(a_jsx=code)
    assert finding.cause is not None and fix in finding.cause.fix


def test_functions_of_the_same_name_in_other_files_are_no_users() -> None:
    page = IMPORTS.replace("./a", "./other") + BOTH
    (finding,) = found_in(a_ts=HOOK.replace("NAME", "useA"), b_ts=HOOK.replace("NAME", "useB"), page_tsx=page)
    assert finding.severity is Severity.WARNING and "useA (a.ts:2:54);" in finding.message


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ('io("/chat")', 'io("/admin")'),
        ("io(url)", "io(other)"),
        ("new WebSocket('wss://a/b')", "new WebSocket('wss://a/b')"),
        ("let s; function get() { if (!s) s = io('/a'); return s }", "io('/a')"),
    ],
    ids=["namespaces", "unknown expressions", "websockets", "a check"],
)
def test_openings_that_may_differ_are_no_finding(first: str, second: str) -> None:
    head = 'import { io } from "socket.io-client";\n'
    assert (
        found_in(a_js=head + f"export function a() {{ {first} }}", b_js=head + f"export function b() {{ {second} }}")
        == []
    )


IMPORT = 'import { io } from "socket.io-client"; import { socket } from "./socket";\n'
SINGLE = {
    "listener-added-in-render": "function Chat() { if (socket) socket.on('x', f); return <p/> }",
    "listener-added-in-render, of a hook's socket": (
        "function Chat() { const socket = useSocket(); socket?.on('x', () => { load() }); return <p/> }"
    ),
    "opened-in-render": "function Clock() { const s = io('/a'); return <p/> }",
    "opening-not-closed": "function Chat() { useEffect(() => { const s = io('/a'); s.on('x', f) }, []); return <p/> }",
    "opening-not-closed, of another client": (
        "import Pusher from 'pusher-js'; function Chat() { useEffect(() => { new Pusher('k') }, []); return <p/> }"
    ),
    "opened-on-disconnect": "const s = io('/a'); s.on('disconnect', () => { io('/b') })",
    "listener-not-removed": "function Chat() { useEffect(() => { socket.on('x', f) }, []); return <p/> }",
    "listener-not-removed, of another event": (
        "function Chat() { useEffect(() => { socket.on('a', f); return () => socket.off('A') }, []); return <p/> }"
    ),
}


@pytest.mark.parametrize(("rule", "code"), SINGLE.items(), ids=SINGLE)
def test_each_rule_finds_its_fault_and_names_the_place(rule: str, code: str) -> None:
    (finding,) = found_in(chat_tsx=IMPORT + code)
    assert finding.rule == rule.partition(",")[0]
    assert [location.file for location in finding.locations] == ["chat.tsx"] and finding.locations[0].line == 2


VUE = 'import { onMounted, onUnmounted } from "vue";\n'
CONNECT = "function connect() { s = new WebSocket(url); s.onclose = () => setTimeout(connect, 1000); }"
LEAVES = "connect(); return () => s.close();"


def feed(connect: str = CONNECT, cleanup: str = LEAVES) -> str:
    """Return a hook that connects again when its connection has closed."""
    return f"function useFeed(url) {{ useEffect(() => {{ let s, t; {connect} {cleanup} }}, [url]) }}"


@pytest.mark.parametrize(
    "code",
    [
        feed(),
        feed(cleanup="connect(); return () => { clearTimeout(t); s?.close(1000, 'left'); };"),
        feed(
            "const connect = () => { s = new WebSocket(`${url}/live`); s.addEventListener('close', () => connect()); };"
        ),
        feed(
            "function later() { t = setTimeout(connect, Math.min(2 ** tries++, 30) * 1000); } function connect() {"
            " const one = new WebSocket(url || '/tide'); s = one; one.onclose = () => { log('gone'); later(); }; }"
        ),
        f"{VUE}function useTide() {{ let s; onMounted(() => connect()); {CONNECT} onUnmounted(() => s.close()) }}",
        "class A extends Component { componentDidMount() { this.open(); } componentWillUnmount() { this.ws.close(); }"
        " open() { this.ws = new WebSocket('/x'); this.ws.onclose = () => setTimeout(() => this.open(), 500); } }",
    ],
    ids=["hook", "clears the timer", "addEventListener", "through a function", "vue", "class"],
)
def test_a_close_handler_that_connects_again_after_the_cleanup(code: str) -> None:
    (finding,) = found_in(feed_jsx=code)
    assert (finding.rule, finding.severity) == ("reopened-after-cleanup", Severity.ERROR)
    assert finding.cause is not None and "onclose = null" in finding.cause.fix


@pytest.mark.parametrize(
    "code",
    [
        feed(cleanup="connect(); return () => { s.onclose = null; s.close(); };"),
        feed(cleanup="connect(); return () => { s.removeEventListener('close', connect); s.close(); };"),
        feed(cleanup="connect(); return () => { stop(); s.close(); };"),
        feed(cleanup="connect(); return () => clearTimeout(t);"),
        feed(cleanup="connect(); const end = () => s.close(); button.onclick = end; return () => t.close();"),
        feed(CONNECT.replace("s = new", "if (gone) return; s = new")),
        feed(CONNECT.replace("s = new WebSocket(url);", "if (!gone) s = new WebSocket(url);")),
        feed(CONNECT.replace("() => setTimeout", "() => gone || setTimeout")),
        feed(CONNECT.replace("() => setTimeout(connect, 1000)", "e => { if (e.code !== 1000) connect(); }")),
        feed(
            CONNECT.replace("() => setTimeout(connect, 1000)", "() => later()")
            + "function later() { gone ? 0 : connect() }"
        ),
        feed(CONNECT.replace("onclose", "onerror")),
        feed(CONNECT.replace("() => setTimeout(connect, 1000)", "() => setOpen(false)")),
        f'import WebSocket from "reconnecting-websocket";\n{feed()}',
        f"let s; {CONNECT} connect(); stop.onclick = () => s.close();",
    ],
)
def test_a_close_handler_that_does_not_certainly_connect_again(code: str) -> None:
    assert [each for each in found_in(feed_jsx=code) if each.rule == "reopened-after-cleanup"] == []


RIGHT = {
    "render with a check": "function A() { const r = useRef(); if (!r.current) r.current = io('/a'); return <p/> }",
    "effect with cleanup": "function A() { useEffect(() => { const s = io('/a'); return () => s.close() }, []) }",
    "WebSocket that reconnects": "function open() { const s = new WebSocket(u); s.onclose = () => open() } open()",
    "listener with off": "function A() { useEffect(() => { socket.on('x', f); return () => socket.off('x', f) }, []) }",
    "listener of its own socket": (
        "function A() { useEffect(() => { const socket = io('/a'); socket.on('x', f); return () => socket.close() }) }"
    ),
    "listener once per mount, of a socket that each mount opens": (
        "let mySocket; function A() { useEffect(() => { mySocket = io('/a'); register(mySocket) }, []);"
        " useEffect(() => { mySocket.on('x', f) }, [setRows, dispatch]); return <p/> }"
    ),
    "listener of a component's own socket": (
        "function Chat() { const socket = useFeed(); useEffect(() => { socket.on('x', f) }, [socket]); return <p/> }"
    ),
    "disconnect handler without reconnection": (
        "function dial() { const s = io('/a', { reconnection: false }); s.on('disconnect', dial) } dial()"
    ),
    "cleanup that may remove every listener": (
        "function A() { useEffect(() => { socket.on('x', f); socket.on('y', g); "
        "return () => { socket.off('x', f); leave() } }, []) }"
    ),
    "off with a variable": (
        "function A() { useEffect(() => { socket.on('x', f); return () => all.forEach((e) => socket.off(e)) }, []) }"
    ),
    "listener in render that is removed before": (
        "function A() { socket.off('x'); socket.on('x', f); return <p/> }"
    ),
    "listener in render after a check": "function A() { if (!added) socket.on('x', f); return <p/> }",
    "listener in an event handler": "function A() { return <b onClick={() => socket.on('x', f)}/> }",
    "listener in a function": "function A() { const add = () => socket.on('x', f); return <B add={add}/> }",
    "listener at module level": "socket.on('x', f)",
    "listener of another emitter": (
        "import { bus } from './bus'; function A() { useEffect(() => { bus.on('x', f) }, []); return <p/> }"
    ),
    "listener of an event that the code does not name": (
        "function A() { useEffect(() => { socket.on(name, f) }, []); return <p/> }"
    ),
    "connection that is opened later": (
        "function A() { const s = io('/a', { autoConnect: false }); useEffect(() => { const s = io('/b', "
        "{ autoConnect: auto }) }, []); return <p/> }"
    ),
    "client that connects later": (
        "import { Client } from '@stomp/stompjs'; function A() { useEffect(() => { const c = new Client({}) }, []); "
        "const d = new Client({}); return <p/> }"
    ),
    "useState": "function A() { const [s] = useState(() => io('/a')); useEffect(() => () => s.close()); return <p/> }",
    "given": "function A() { const [s] = useState(() => io('/a')); return <L.Provider value={s}><B/></L.Provider> }",
    "wrapped": "function A() { const [api] = useState(() => new Api(io('/a'))); return <p/> }",
    "returned": "function useLink() { const s = useMemo(() => io('/a'), []); return s }",
}  # fmt: skip


SCRIPT = "import { io } from 'socket.io-client';\nconst s = io('/a');\nCODE"
VUE = f"<script setup>\n{SCRIPT}\n</script>\n<template>MARKUP</template>"


@pytest.mark.parametrize(
    ("path", "code", "part"),
    [
        (
            "a.tsx",
            f"{IMPORT}function A() {{ const [s] = useState(() => io('/a')); return <p/> }}",
            "a state initialiser",
        ),
        ("a.tsx", f"{IMPORT}function A() {{ const s = useMemo(() => io('/a'), []); return <p/> }}", "a memo"),
        ("A.vue", VUE.replace("CODE", "s.on('tide', show)").replace("MARKUP", "<p/>"), "the script"),
        ("A.svelte", "<script>\nimport { io } from 'socket.io-client';\nio('/a');\n</script>\n<p>a</p>", "the script"),
    ],
)
def test_a_component_that_never_closes_its_connection(path: str, code: str, part: str) -> None:
    (finding,) = findings_in([file_facts(path, code.encode())])
    assert (finding.rule, finding.severity) == ("opening-not-closed", Severity.WARNING)
    assert finding.message.startswith(f"{part} of ") and finding.cause is not None


@pytest.mark.parametrize(
    ("path", "code", "markup"),
    [
        ("A.vue", "onUnmounted(() => s.disconnect())", "<p/>"),
        ("A.vue", "provide('link', s)", "<p/>"),
        ("A.vue", "", '<Board :link="s" />'),
        ("A.vue", "", '<button @click="s.disconnect()">leave</button>'),
        ("App.vue", "s.on('tide', show)", "<p/>"),
    ],
)
def test_a_connection_of_a_file_that_its_markup_uses_or_that_is_closed(path: str, code: str, markup: str) -> None:
    text = VUE.replace("CODE", code).replace("MARKUP", markup)
    assert findings_in([file_facts(path, text.encode())]) == []


@pytest.mark.parametrize("code", RIGHT.values(), ids=RIGHT)
def test_correct_code_has_no_finding(code: str) -> None:
    assert found_in(app_tsx=IMPORT + code) == []


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("src/App.vue", "<script setup>\nIMPORTonMounted(() => { const s = io('/a'); socket.on('x', f) })\n</script>"),
        ("+layout.svelte", "<script>\nIMPORTonMount(() => { const s = io('/a') })\n</script>"),
        (
            "a.vue",
            "<script setup>\nIMPORTonMounted(() => socket.on('x', f)); onUnmounted(() => socket.off('x'))\n</script>",
        ),
        ("a.vue", "<script setup>\nconst socket = useFeed(); onMounted(() => { socket.on('x', f) })\n</script>"),
        (
            "a.svelte",
            "<script>\nIMPORTonMount(() => { socket.on('x', f) }); onDestroy(() => socket.off())\n</script>",
        ),
    ],
)
def test_scripts_of_vue_and_svelte_remove_listeners_in_a_hook_of_their_own(path: str, code: str) -> None:
    assert findings_in(facts_of({path: code.replace("IMPORT", IMPORT)})) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [("one/a.js", "two/a.js"), ("src/pages/a.js", "src/pages/b.js"), ("src/a/+page.svelte", "src/b/+page.svelte")],
    ids=["two packages", "two routes", "two routes of SvelteKit"],
)
def test_files_that_no_page_loads_together_are_no_finding(first: str, second: str) -> None:
    code = IMPORT + "export function open() { return io('/a') }"
    facts = []
    for path in (first, second):
        text = f"<script>\n{code}\n</script>" if path.endswith(".svelte") else code
        package = path.partition("/")[0] if path.endswith("/a.js") and "src" not in path else "."
        facts.append(file_facts(path, text.encode(), Package(package)))
    assert findings_in(facts) == []


def test_a_layout_and_its_page_are_open_together() -> None:
    code = f"<script>\n{IMPORT}export function open() {{ return io('/a') }}\n</script>"
    (finding,) = findings_in(facts_of({"src/+layout.svelte": code, "src/a/+page.svelte": code}))
    assert finding.rule == "opened-in-several-places"


def test_scripts_without_imports_belong_to_pages_of_their_own() -> None:
    assert found_in(a_js="function chat() { return io('/a') }", b_js="function stock() { return io('/a') }") == []


def test_only_files_that_mention_a_connection_are_parsed() -> None:
    assert not may_have_facts(b"export const audio = radio(1)")
    assert may_have_facts(b"io(URL)") and may_have_facts(b"this.socket?.on('x', f)")


@pytest.mark.parametrize(
    ("dependencies", "rules"),
    [('{"vue": "3"}', []), ('{"nuxt": "^3.8"}', []), ('{"react": "18", "vue": "3"}', ["opened-in-render"])],
)
def test_a_composable_of_a_package_with_vue_runs_once_per_instance(dependencies: str, rules: list[str]) -> None:
    package = parse_manifest(".", f'{{"dependencies": {dependencies}}}'.encode())
    code = IMPORT + "export const useLive = () => { const live = io('/live'); return { live } }"
    assert [finding.rule for finding in findings_in([file_facts("live.ts", code.encode(), package)])] == rules


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"dependencies": ["vue"]}', "\xff", '{"dependencies": {"vue": null}}']
)
def test_a_manifest_that_is_none_names_no_version(text: str) -> None:
    package = parse_manifest("a", text.encode("latin-1"))
    assert (package.folder, package.vue_version, package.server_rendering) == ("a", None, "")


CREATE = "import { io } from 'socket.io-client';\nexport function createSocket() { const s = io('/a'); return s }"
USER = (
    'import { createSocket } from "./create"; export function NAME() {'
    " useEffect(() => { const s = createSocket(); return () => s.close() }, []); return <p/> }"
)


def test_a_function_that_returns_a_connection_opens_one_for_each_user() -> None:
    (finding,) = found_in(create_ts=CREATE, a_tsx=USER.replace("NAME", "Left"), b_tsx=USER.replace("NAME", "Right"))
    assert finding.message == (
        "createSocket opens a connection to /a (create.ts:2:44) for each component that uses it: "
        "Left (a.tsx:1), Right (b.tsx:1)"
    )
    assert (finding.severity, finding.confidence) == (Severity.WARNING, Confidence.MEDIUM)


@pytest.mark.parametrize("name", ["useFeed", "FeedProvider"])
def test_a_hook_or_provider_opens_one_for_each_component_that_uses_it(name: str) -> None:
    use = {"useFeed": "useFeed();", "FeedProvider": "const x = <FeedProvider/>;"}[name]
    code = f"import {{ {name} }} from './feed'; function NAME() {{ {use} return <p/> }}"
    files = {"feed_tsx": HOOK.replace("NAME", name), "a_tsx": code.replace("NAME", "Left")}
    assert found_in(**files) == []
    (finding,) = found_in(**files, b_tsx=code.replace("NAME", "Right"))
    assert finding.message.endswith("for each component that uses it: Left (a.tsx:1), Right (b.tsx:1)")


@pytest.mark.parametrize(
    "code",
    [
        "let s; export function createSocket() { s = io('/a'); return s }",
        "let s; export function createSocket() { if (!s) s = io('/a'); return s }",
        "export function createSocket() { io('/a') }",
        "export const createSocket = () => ({ open: () => io('/a') })",
    ],
)
def test_a_function_that_keeps_or_hides_its_connection_opens_none_for_its_users(code: str) -> None:
    create = "import { io } from 'socket.io-client';\n" + code
    assert found_in(create_ts=create, a_tsx=USER.replace("NAME", "Left"), b_tsx=USER.replace("NAME", "Right")) == []


def test_urls_are_compared_by_their_values() -> None:
    code = "import { io } from 'socket.io-client';\nDEFINED; export function NAME() { return io(URL) }"
    first = code.replace("DEFINED", "const live = 'https://a.example'").replace("URL", "live").replace("NAME", "a")
    second = code.replace("DEFINED;", "").replace("URL", "`https://a.example/`").replace("NAME", "b")
    (finding,) = found_in(a_js=first, b_js=second)
    assert finding.rule == "opened-in-several-places"


@pytest.mark.parametrize(
    ("path", "dependency", "closes", "removes"),
    [
        ("a.jsx", "react", "return () => socket.disconnect()", "return () => socket.off(event, listener)"),
        ("a.vue", "vue", "Disconnect in onUnmounted", "onUnmounted(() => socket.off"),
        ("a.svelte", "svelte", "from onMount or $effect", "from onMount or $effect"),
        ("a.component.ts", "@angular/core", "Disconnect in ngOnDestroy or DestroyRef", "in ngOnDestroy or DestroyRef"),
    ],
)
def test_the_fix_is_in_the_terms_of_the_framework(path: str, dependency: str, closes: str, removes: str) -> None:
    code = {
        ".jsx": "function A() { useEffect(() => { BODY }); return <p/> }",
        ".vue": "onMounted(() => { BODY })",
        ".svelte": "onMount(() => { BODY })",
        ".ts": "class A { ngOnInit() { BODY } }",
    }[path[path.rindex(".") :]]
    fixes = []
    for body in ("const own = io('/a')", "socket.on('x', f)"):
        text = IMPORT + code.replace("BODY", body)
        text = f"<script>\n{text}\n</script>" if path.endswith((".vue", ".svelte")) else text
        (finding,) = findings_in([file_facts(path, text.encode(), Package(".", {dependency: "1"}))])
        fixes.append(finding.cause.fix if finding.cause is not None else "")
    assert closes in fixes[0] and removes in fixes[1]
