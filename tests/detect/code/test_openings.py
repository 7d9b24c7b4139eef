"""Facts about opening calls: where, in which context, closed or not."""

import pytest

from wscheck.detect.code.connection_calls import connection_calls
from wscheck.detect.code.listeners import MAX_LISTENERS
from wscheck.detect.code.openings import opening_call, opens_at_once
from wscheck.detect.code.source_tree import MAX_CALLS, file_facts, may_have_facts
from wscheck.detect.code.syntax import parse_source
from wscheck.model.code_facts import Api, CallContext, Cleanup, OpeningCall

IMPORT = 'import { io } from "socket.io-client";\n'


def opening_calls(path: str, content: bytes) -> list[OpeningCall]:
    source = parse_source(path, content)
    return [opening_call(source, call) for call in connection_calls(source)]


def opened(code: str, path: str = "src/app.tsx") -> OpeningCall:
    (call,) = opening_calls(path, code.encode())
    return call


@pytest.mark.parametrize(
    "code",
    [
        'import { io } from "socket.io-client"; io(URL)',
        'import io from "socket.io-client"; io(URL)',
        'import connect from "socket.io-client"; connect(URL)',
        'import { connect as dial } from "socket.io-client"; dial(URL)',
        'import * as sio from "socket.io-client"; sio.io(URL)',
        'import io from "socket.io-client"; io.connect(URL)',
        'import { Manager } from "socket.io-client"; new Manager(URL)',
        'import { io } from "socket.io-client-v4"; io(URL)',
        'const io = require("socket.io-client"); io(URL)',
        'const { io } = require("socket.io-client"); io(URL)',
        'const client = require("socket.io-client").io; client(URL)',
        'const { default: dial } = await import(/* name */ "socket.io-client"); dial(URL)',
        'import * as io from "socket.io-client"; io(URL)',
        'import { io } from "Socket.IO-client"; io(URL)',
        'import { io } from "https://cdn.example/4.8.1/socket.io.esm.min.js"; io(URL)',
        'import { io as Dial } from "socket.io-client"; new (Dial as any)(URL)',
        'require("socket.io-client")(URL)',
        'require("socket.io-client").connect(URL)',
        "const socket = io(URL)",
        "const socket = window.io(URL)",
        "const socket = window.io.connect(URL)",
        "io.connect(URL)",
    ],
)
def test_every_way_to_name_socket_io_is_found(code: str) -> None:
    call = opened(code, "src/app.js")
    assert (call.api, call.url) == (Api.SOCKET_IO, "URL")


@pytest.mark.parametrize(
    ("code", "api", "url"),
    [
        ('import SockJS from "sockjs-client"; new SockJS("/stomp")', Api.WEBSOCKET, "/stomp"),
        ('import { Client } from "@stomp/stompjs"; new Client({ brokerURL: "wss://a" })', Api.STOMP, "wss://a"),
        ('import { Stomp } from "@stomp/stompjs"; Stomp.client(URL)', Api.STOMP, "URL"),
        (
            'import * as sr from "@microsoft/signalr"; new sr.HubConnectionBuilder().withUrl("/hub").build()',
            Api.SIGNALR,
            "/hub",
        ),
        ('import { HubConnectionBuilder } from "@microsoft/signalr"; new HubConnectionBuilder()', Api.SIGNALR, ""),
        ('import Pusher from "pusher-js"; new Pusher("key", { cluster: "eu" })', Api.PUSHER, ""),
        ('import Echo from "laravel-echo"; new Echo({ broadcaster: "reverb", wsHost: host })', Api.ECHO, "host"),
        ('import { Socket } from "phoenix"; new Socket("/socket", {})', Api.PHOENIX, "/socket"),
        ('import { createClient } from "graphql-ws"; createClient({ url: URL })', Api.GRAPHQL, "URL"),
        ('import * as cable from "@rails/actioncable"; cable.createConsumer("/cable")', Api.ACTION_CABLE, "/cable"),
        ('import { Centrifuge } from "centrifuge"; new Centrifuge(URL)', Api.CENTRIFUGE, "URL"),
        ('import { supabase } from "./client"; supabase.channel("room")', Api.SUPABASE, "room"),
        (
            'import { createClient } from "@supabase/supabase-js"; const db = createClient(U, K); db.channel("room")',
            Api.SUPABASE,
            "room",
        ),
        ('import mqtt from "mqtt"; mqtt.connect("wss://a", {})', Api.MQTT, "wss://a"),
        ('import * as mqtt from "mqtt/dist/mqtt.min"; mqtt.connect(URL)', Api.MQTT, "URL"),
        ('import { connect } from "mqtt"; connect(URL)', Api.MQTT, "URL"),
        (
            'import { fetchEventSource } from "@microsoft/fetch-event-source"; fetchEventSource(A)',
            Api.EVENT_SOURCE,
            "A",
        ),
        ('import { EventSource } from "eventsource"; new EventSource(A)', Api.EVENT_SOURCE, "A"),
        ('const Feed = require("eventsource"); new Feed("/live")', Api.EVENT_SOURCE, "/live"),
        ('const { EventSource: Feed } = require("eventsource"); new Feed(A)', Api.EVENT_SOURCE, "A"),
        ('import { EventSourcePolyfill as ES } from "event-source-polyfill"; new ES(A)', Api.EVENT_SOURCE, "A"),
        ('import * as es from "event-source-polyfill"; new es.EventSourcePolyfill(A)', Api.EVENT_SOURCE, "A"),
        ('const es = require("event-source-polyfill"); new es.NativeEventSource(A)', Api.EVENT_SOURCE, "A"),
        ('import Prices from "reconnecting-eventsource"; new Prices("/p")', Api.EVENT_SOURCE, "/p"),
        ('import { SSE } from "sse.js"; new SSE(A, { method: "POST" })', Api.EVENT_SOURCE, "A"),
        ("new EventSourcePolyfill(A)", Api.EVENT_SOURCE, "A"),
        (
            'import { EventSourcePolyfill as E } from "event-source-polyfill/src/eventsource.min.js"; new E(A)',
            Api.EVENT_SOURCE,
            "A",
        ),
        ('import { createClient } from "graphql-ws/lib/client"; createClient({ url: URL })', Api.GRAPHQL, "URL"),
        ('import SockJS from "sockjs-client/dist/sockjs"; new SockJS("/stomp")', Api.WEBSOCKET, "/stomp"),
        ('import { Client } from "@stomp/stompjs/esm6/client"; new Client({ brokerURL: U })', Api.STOMP, "U"),
        (
            'import * as sr from "@microsoft/signalr/dist/browser/signalr.js"; new sr.HubConnectionBuilder()',
            Api.SIGNALR,
            "",
        ),
        ('const Pusher = require("pusher-js/with-encryption"); new Pusher("key")', Api.PUSHER, ""),
        ('import { Socket } from "phoenix/priv/static/phoenix.mjs"; new Socket("/socket")', Api.PHOENIX, "/socket"),
        ('import Feed from "eventsource/lib/eventsource"; new Feed(A)', Api.EVENT_SOURCE, "A"),
        ('import cable from "actioncable"; cable.createConsumer("/cable")', Api.ACTION_CABLE, "/cable"),
        ('const sr = require("@microsoft/signalr"); new sr.HubConnectionBuilder()', Api.SIGNALR, ""),
    ],
)
def test_other_clients_are_listed(code: str, api: Api, url: str) -> None:
    call = opened(code)
    assert (call.api, call.url, call.context) == (api, url, CallContext.MODULE)
    assert may_have_facts(code.encode())


@pytest.mark.parametrize(
    ("code", "constructor", "library"),
    [
        ("new WebSocket(URL)", "WebSocket", ""),
        ("new window.EventSource(URL)", "window.EventSource", ""),
        ('import RWS from "reconnecting-websocket"; new RWS(URL)', "RWS", "reconnecting-websocket"),
        ('import { WebSocket as Party } from "partysocket/ws"; new Party(URL)', "Party", "partysocket"),
        (
            'import * as sr from "@microsoft/signalr"; new sr.HubConnectionBuilder()',
            "sr.HubConnectionBuilder",
            "@microsoft/signalr",
        ),
        (
            'import { fetchEventSource } from "@microsoft/fetch-event-source"; fetchEventSource(A)',
            "",
            "@microsoft/fetch-event-source",
        ),
        ('const mqtt = require("mqtt/dist/mqtt.min"); mqtt.connect(URL)', "", "mqtt"),
        ('import { EventSource } from "eventsource"; new EventSource(A)', "EventSource", "eventsource"),
        ('import X from "sockjs-client"; new (X as any)(URL)', "", ""),
    ],
)
def test_the_library_and_the_class_of_an_opening_are_known(code: str, constructor: str, library: str) -> None:
    call = opened(code)
    assert (call.constructor, call.library) == (constructor, library)


@pytest.mark.parametrize(
    "code",
    [
        'import { SSE } from "./sse.js"; new SSE(A)',
        'import { EventSource } from "./fake"; new EventSource(A)',
        'import { ErrorEvent } from "eventsource"; new ErrorEvent("a")',
        'const es = require("eventsource"); new es.Parser(A)',
        "class EventSourcePolyfill {}; new EventSourcePolyfill(A)",
        'import { makeServer } from "graphql-ws/lib/server"; makeServer({ schema })',
        'import { createClient } from "./graphql-ws/lib/client"; createClient({ url: A })',
        'import { Emitter } from "sockjs-client/lib/event/emitter"; new Emitter()',
        'import { Parser } from "@stomp/stompjs/esm6/parser"; new Parser(A)',
    ],
)
def test_other_classes_open_no_event_stream(code: str) -> None:
    assert not opening_calls("src/app.tsx", code.encode())


@pytest.mark.parametrize(
    ("options", "at_once"), [("", True), (", { start: true }", True), (", { headers: {}, start: false }", False)]
)
def test_an_event_stream_may_be_started_later(options: str, at_once: bool) -> None:
    source = parse_source("src/app.js", f'import {{ SSE }} from "sse.js"; new SSE(A{options})'.encode())
    assert [opens_at_once(call) for call in connection_calls(source)] == [at_once]


@pytest.mark.parametrize("module", ["eventsource", "reconnecting-eventsource"])
@pytest.mark.parametrize(("rest", "cleanup"), [("", Cleanup.MISSING), ("return () => c.close();", Cleanup.CLOSES)])
def test_an_event_stream_of_a_package_is_closed_in_the_cleanup(module: str, rest: str, cleanup: Cleanup) -> None:
    effect = f"useEffect(() => {{ const c = new Feed(A); c.onmessage = show; {rest} }}, [])"
    call = opened(f'import Feed from "{module}"; function Moves() {{ {effect}; return <p/> }}')
    assert (call.api, call.context, call.cleanup) == (Api.EVENT_SOURCE, CallContext.EFFECT, cleanup)


@pytest.mark.parametrize(
    ("rest", "cleanup"),
    [("", Cleanup.MISSING), ("return () => c.end();", Cleanup.UNKNOWN), ("gone.then(() => c.end());", Cleanup.UNKNOWN)],
)
def test_an_mqtt_client_is_closed_by_end(rest: str, cleanup: Cleanup) -> None:
    effect = f"useEffect(() => {{ const c = mqtt.connect(URL); c.subscribe('a'); {rest} }}, [])"
    call = opened(f'import mqtt from "mqtt"; function Moves() {{ {effect}; return <p/> }}')
    assert (call.api, call.context, call.cleanup) == (Api.MQTT, CallContext.EFFECT, cleanup)


@pytest.mark.parametrize("module", ["react-use-websocket", "@vueuse/core", "partysocket/react"])
def test_a_hook_of_a_library_closes_its_connection(module: str) -> None:
    call = opened(f'import {{ useWebSocket }} from "{module}"; function A() {{ useWebSocket(URL); return <p/> }}')
    assert (call.api, call.url, call.context, call.cleanup) == (
        Api.WEBSOCKET,
        "URL",
        CallContext.EFFECT,
        Cleanup.CLOSES,
    )


@pytest.mark.parametrize(
    "code",
    [
        'import { createClient } from "@supabase/supabase-js"; createClient({ url })',
        'import { Client } from "pg"; new Client({ host })',
        'import { Socket } from "net"; new Socket(); bus.channel("a")',
        'import { useWebSocket } from "./own"; useWebSocket(URL)',
        'import { Server } from "socket.io"; const io = new Server(server); io.on("connection", f)',
        'const io = require("socket.io")(server); io.of("/a")',
        "function listen(io: Server) { io(URL) }",
        'import WebSocket from "ws"; new WebSocket(URL)',
        'import { io } from "./io"; io(URL)',
        "class WebSocket {} new WebSocket(URL)",
        'const text = "io(URL)" // io(URL)',
        'import { Socket } from "socket.io-client"; f(Socket)',
    ],
)
def test_servers_own_names_and_texts_open_nothing(code: str) -> None:
    assert opening_calls("src/app.ts", code.encode()) == []


@pytest.mark.parametrize(
    ("code", "url"),
    [
        ('io("https://a.example/x")', "https://a.example/x"),
        ("io(`/admin`)", "/admin"),
        ("io()", ""),
        ("io({ path: '/x' })", ""),
        ("io(window.location.origin)", ""),
        ("io(process.env.URL,\n {})", "process.env.URL"),
    ],
)
def test_the_url_is_the_literal_or_the_expression(code: str, url: str) -> None:
    assert opened(IMPORT + code).url == url


CONTEXTS = {
    "module": ("const socket = io(URL)", CallContext.MODULE, ""),
    "render": ("function Clock() { const s = io(URL); return <p/> }", CallContext.RENDER, "Clock"),
    "argument of useRef": ("const Bell = () => { const s = useRef(io(URL)); return <p/> }", CallContext.RENDER, "Bell"),
    "body of a hook": ("export function useFeed() { return io(URL) }", CallContext.RENDER, "useFeed"),
    "forwardRef": ("const Bell = forwardRef(() => { io(URL); return <p/> })", CallContext.RENDER, "Bell"),
    "state": ("function A() { const [s] = useState(() => io(URL)); return <p/> }", CallContext.STATE_INITIALISER, "A"),
    "memo": ("function A() { const s = useMemo(() => io(URL), []); return <p/> }", CallContext.MEMO, "A"),
    "effect": ("function A() { useEffect(() => { io(URL) }, []); return <p/> }", CallContext.EFFECT, "A"),
    "React.useEffect": ("function A() { React.useEffect(() => { io(URL) }); return <p/> }", CallContext.EFFECT, "A"),
    "asynchronous effect": (
        "function A() { useEffect(() => { (async () => { await f(); io(URL) })() }, []); return <p/> }",
        CallContext.EFFECT,
        "A",
    ),
    "function that an effect calls": (
        "function A() { const open = () => io(URL); useEffect(() => { open() }, []); return <p/> }",
        CallContext.EFFECT,
        "A",
    ),
    "callback": (
        "function A() { const open = useCallback(() => io(URL), []); return <b onClick={() => open()}/> }",
        CallContext.EVENT_HANDLER,
        "A",
    ),
    "listener": ('window.addEventListener("online", () => io(URL))', CallContext.EVENT_HANDLER, ""),
    "function that a disconnect handler calls": (
        "function dial() { const s = io(URL); s.on('disconnect', () => setTimeout(dial, 500)) } dial()",
        CallContext.DISCONNECT_HANDLER,
        "dial",
    ),
    "function that is a disconnect handler": (
        "function dial() { io(URL) } socket.on('disconnect', dial)",
        CallContext.DISCONNECT_HANDLER,
        "",
    ),
    "disconnect": ('socket.on("disconnect", () => io(URL))', CallContext.DISCONNECT_HANDLER, ""),
    "onclose": ("socket.onclose = () => io(URL)", CallContext.DISCONNECT_HANDLER, ""),
    "constructor": ("class Feed { constructor() { this.s = io(URL) } }", CallContext.CONSTRUCTOR, "Feed"),
    "field": ("class Feed { socket = io(URL) }", CallContext.SETUP, "Feed"),
    "componentDidMount": ("class A extends Component { componentDidMount() { io(URL) } }", CallContext.EFFECT, "A"),
    "method that ngOnInit calls": (
        "class A { ngOnInit() { this.open() } open() { io(URL) } ngOnDestroy() {} }",
        CallContext.EFFECT,
        "A",
    ),
    "function that another hook receives": (
        "function useFeed() { const open = () => io(URL); return useStable(open) }",
        CallContext.FUNCTION,
        "useFeed",
    ),
    "function that a helper receives": (
        "function A() { const open = () => io(URL); const later = debounce(open); return <p later={later}/> }",
        CallContext.FUNCTION,
        "A",
    ),
    "function that is run inline": (
        "function A() { const open = () => io(URL); [1, 2].forEach(open); return <p/> }",
        CallContext.RENDER,
        "A",
    ),
    "exported function": ("export function open() { return io(URL) }", CallContext.FUNCTION, "open"),
    "vue composable": ('import { ref } from "vue"; function useX() { return io(URL) }', CallContext.SETUP, "useX"),
    "vue-demi composable": ('import { ref } from "vue-demi"; function useX() { io(URL) }', CallContext.SETUP, "useX"),
    "vueuse composable": ('import { now } from "@vueuse/core"; function useX() { io(URL) }', CallContext.SETUP, "useX"),
    "nuxt composable": ('import { useState } from "#imports"; function useX() { io(URL) }', CallContext.SETUP, "useX"),
    "react hook": ('import { useRef } from "react"; function useX() { io(URL) }', CallContext.RENDER, "useX"),
    "vue onMounted": ('import { onMounted } from "vue"; onMounted(() => { io(URL) })', CallContext.EFFECT, ""),
}  # fmt: skip


@pytest.mark.parametrize(("code", "context", "owner"), CONTEXTS.values(), ids=CONTEXTS)
def test_the_context_is_the_part_of_the_program_that_runs_the_call(code: str, context: CallContext, owner: str) -> None:
    call = opened(IMPORT + code)
    assert (call.context, call.owner) == (context, owner)


VUE = '<template><p/></template>\n<script setup lang="ts">\n' + IMPORT + "const s = io(URL)\n</script>\n"
OPTIONS = "<script>\n" + IMPORT + "export default { mounted() { this.s = io(URL) }, unmounted() { } }\n</script>"
SVELTE = "<script context=\"module\">\nimport { io } from 'socket.io-client';\nconst s = io(URL)\n</script>\n<p/>"
PAGE = '<html>\n<script src="/socket.io/socket.io.js"></script>\n<script>\nconst s = io();\n</script>\n</html>'


@pytest.mark.parametrize(
    ("path", "code", "context", "line"),
    [
        ("A.vue", VUE, CallContext.SETUP, 4),
        ("A.vue", OPTIONS, CallContext.EFFECT, 3),
        ("A.svelte", SVELTE, CallContext.MODULE, 3),
        ("A.svelte", SVELTE.replace(' context="module"', ""), CallContext.SETUP, 3),
        ("index.html", PAGE, CallContext.MODULE, 4),
    ],
)
def test_scripts_in_markup_keep_their_lines(path: str, code: str, context: CallContext, line: int) -> None:
    call = opened(code, path)
    assert (call.context, call.location.line) == (context, line)


def test_a_script_without_an_end_does_not_run() -> None:
    assert opening_calls("index.html", PAGE.removesuffix("</script>\n</html>").encode()) == []


def effect(body: str, rest: str = "return <p/>") -> str:
    return f"{IMPORT}function A() {{ const [s, setS] = useState(); useEffect(() => {{ {body} }}, []); {rest} }}"


@pytest.mark.parametrize(
    ("code", "cleanup"),
    [
        (effect("const k = io(URL); return () => k.disconnect();"), Cleanup.CLOSES),
        (effect("const k = io(URL); setS(k); return () => { s?.close(); };"), Cleanup.MISSING),
        (
            effect("const k = io(URL); k.on('x', f); setS(k); return () => { clearTimeout(t); s.disconnect(); };"),
            Cleanup.MISSING,
        ),
        (effect("const k = io(URL); setS(k); return () => { s?.close(); k.close(); };"), Cleanup.CLOSES),
        (effect("const k = io(URL); setS(k); return () => { s?.off(); stopAll(); };"), Cleanup.CLOSES),
        (effect("const k = io(URL); setOther(k); return () => { s?.close(); };"), Cleanup.CLOSES),
        (effect("const k = io(URL); return () => { k.off(); k.close(); };"), Cleanup.CLOSES),
        (effect("const k = io(URL); k.on('x', f);"), Cleanup.MISSING),
        (effect("const k = io(URL); setS(k);"), Cleanup.MISSING),
        (effect("setS(io(URL));"), Cleanup.MISSING),
        (effect("setOther(io(URL));"), Cleanup.UNKNOWN),
        (effect("const k = io(URL); setOther(k);"), Cleanup.UNKNOWN),
        (IMPORT + "class AppComponent { ngOnInit() { this.s = io(URL) } }", Cleanup.UNKNOWN),
        (effect("const k = io(URL);", "return <Dialog onClose={onClose}/>"), Cleanup.MISSING),
        (effect("const k = io(URL); stopTyping(); event.stopPropagation();", "closeModal()"), Cleanup.MISSING),
        (effect("const k = io(URL); closeSocket();"), Cleanup.UNKNOWN),
        (effect("const k = io(URL); return undefined;"), Cleanup.MISSING),
        (effect("const k = io(URL); return () => forget(k);"), Cleanup.UNKNOWN),
        (effect("const k = io(URL); register(k);"), Cleanup.UNKNOWN),
        (effect("const k = io(URL); return () => { k.emit('leave'); /* no disconnect() */ };"), Cleanup.MISSING),
        (effect("const k = io(URL); return () => { k.emit('leave'); forget(); };"), Cleanup.UNKNOWN),
        (effect("const k = io(URL); return dropped(k);"), Cleanup.UNKNOWN),
        (effect("setS(io(URL));", "return <Context.Provider value={s}/>"), Cleanup.UNKNOWN),
        (effect("setS(io(URL));", "return s"), Cleanup.UNKNOWN),
        (effect("setS(io(URL));", "useEffect(() => () => s?.disconnect(), [s]); return <p/>"), Cleanup.UNKNOWN),
        (IMPORT + "class A { ngOnInit() { this.s = io(URL) } ngOnDestroy() { this.s.close() } }", Cleanup.CLOSES),
        (IMPORT + "class A { ngOnInit() { this.s = io(URL) } }", Cleanup.MISSING),
    ],
)
def test_only_a_connection_that_nothing_can_close_has_no_cleanup(code: str, cleanup: Cleanup) -> None:
    assert opened(code).cleanup is cleanup


def test_the_facts_of_an_effect() -> None:
    body = "const t = await token(); ref.current = io(URL, { forceNew: true });"
    effect = f"useEffect(() => {{ const open = async () => {{ {body} }}; open(); }}, [user, id]);"
    call = opened(f"{IMPORT}function A() {{ {effect} return <p/> }}")
    assert (call.dependencies, call.after_await, call.forces_new, call.via) == (("user", "id"), True, True, ("open",))


@pytest.mark.parametrize(
    "body",
    [
        "if (!ref.current) { ref.current = io(URL) }",
        "if (ref.current) return; ref.current = io(URL);",
        "ref.current ??= io(URL);",
        "if (!ref.current) { const s = io(URL); ref.current = s }",
        "if (ref.current) return; const s = io(URL); ref.current = s;",
        "if (!socket) setSocket(io(URL));",
        "if (opened.current) return; opened.current = true; io(URL);",
        "ref.current = ref.current || io(URL);",
    ],
)
def test_a_check_of_the_connection_guards_the_call(body: str) -> None:
    assert opened(f"{IMPORT}function A() {{ const ref = useRef(); {body} return <p/> }}").guarded
    assert not opened(f"{IMPORT}function A() {{ if (!user) return null; ref.current = io(URL); return <p/> }}").guarded


@pytest.mark.parametrize("code", ["", "io(", "<script>", "}}}} io(URL) {{{{", "\x00\xff io(", "function A() { " * 500])
def test_broken_code_raises_nothing(code: str) -> None:
    for path in ("a.tsx", "a.ts", "a.vue", "a.html"):
        opening_calls(path, code.encode("utf-8", "surrogatepass"))


def test_functions_that_only_call_each_other_have_no_other_context() -> None:
    assert opened(IMPORT + "function a() { io(URL); b() } function b() { a() }").context is CallContext.FUNCTION


EXTREME = {
    "unclosed brackets": "io(URL);" + "[" * 60_000,
    "nested functions": "io(URL);" + "(() => {" * 20_000 + "io(URL)",
    "functions that all call each other": "".join(
        f"function f{i}() {{ {' '.join(f'f{j}();' for j in range(12))} io(URL) }}\n" for i in range(12)
    ),
    "many calls": "function a() { io(URL) }\n" * 3000,
    "many listeners": "import { socket } from './s';\n" + "useEffect(() => { socket.on('x', f) });\n" * 1000,
}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("code", EXTREME.values(), ids=EXTREME)
def test_extreme_files_end(code: str) -> None:
    facts = file_facts("a.js", code.encode())
    assert len(facts.openings) <= MAX_CALLS and len(facts.listeners) <= MAX_LISTENERS
    assert facts.openings or facts.listeners


def test_only_an_await_of_the_same_function_precedes_the_call() -> None:
    body = "async function load() { await fetch(A) } load(); const socket = io(URL)"
    call = opened(f"{IMPORT}function A() {{ useEffect(() => {{ {body} }}); return <p/> }}")
    assert (call.context, call.after_await) == (CallContext.EFFECT, False)


def test_only_the_effect_itself_returns_its_cleanup() -> None:
    body = 'const socket = io(URL); socket.on("x", () => { return socket.emit("y") })'
    assert opened(f"{IMPORT}function A() {{ useEffect(() => {{ {body} }}); return <p/> }}").cleanup is Cleanup.MISSING


def test_a_call_without_a_condition_is_not_guarded() -> None:
    assert not opened(IMPORT + "io(URL);").guarded


@pytest.mark.parametrize(
    ("check", "keep"),
    [
        ("if (names.has(name)) return;", "names.add(name)"),
        ("if (this.open.has(name)) return;", "this.open.set(name, true)"),
        ("if (urls.includes(name)) return;", "urls.push(name)"),
        ("if (open[name]) return;", "open[name] = true"),
    ],
)
def test_a_collection_of_what_is_open_is_a_guard(check: str, keep: str) -> None:
    assert opened(f"{IMPORT}function keep(name) {{ {check} {keep}; io(URL); }}").guarded
    assert not opened(f"{IMPORT}function keep(name) {{ {check} others.add(name); io(URL); }}").guarded
