"""Connections that a server-rendered page opens in the web server too."""

import pytest

from wscheck.detect.code.packages import Package
from wscheck.detect.code.server_rendering import ServerOpenings
from wscheck.detect.code.source_tree import file_facts, findings_in
from wscheck.model.findings import Severity

IO = 'import { io } from "socket.io-client";\n'
NEXT, NUXT, KIT = ({name: "1"} for name in ("next", "nuxt", "@sveltejs/kit"))
MODULE = IO + "export const socket = io('https://a.example');"
USER = "import { socket } from '../lib/socket';"


def on_server(dependencies: dict[str, str], **files: str) -> list[tuple[str, Severity]]:
    """Return the first file and the severity of each finding. `__` in a name is a slash, `_` the dot."""
    package = Package(".", dependencies)
    named = {name.replace("__", "/").replace("_", "."): code for name, code in files.items()}
    facts = [file_facts(path, code.encode(), package) for path, code in named.items()]
    openings = ServerOpenings(call for file in facts for call in file.on_server)
    for code in named.values():
        openings.read(package.folder, code.encode())
    found = findings_in(facts, (), list(openings.certain(["."] * sum(len(file.on_server) for file in facts))))
    return [(each.locations[0].file, each.severity) for each in found if each.rule == "opened-on-server"]


@pytest.mark.parametrize(
    ("dependencies", "files", "severity"),
    [
        (NEXT, {"lib__socket_ts": MODULE, "app__page_tsx": USER}, Severity.WARNING),
        (NEXT, {"src__index_ts": MODULE, "app__page_tsx": "import { socket } from '@/src';"}, Severity.WARNING),
        (NEXT, {"app__chat_tsx": '"use client";\n' + MODULE}, Severity.WARNING),
        (
            NEXT,
            {"app__chat_tsx": IO + "export default function A() { const [s] = useState(() => io()); return <p/> }"},
            Severity.ERROR,
        ),
        (NUXT, {"composables__live_ts": IO + "export const useLive = () => io('https://a')"}, Severity.ERROR),
        (NUXT, {"pages__live_vue": "<script setup>\n" + IO + "const s = io()\n</script>"}, Severity.ERROR),
        (KIT, {"src__lib__Chat_svelte": "<script>\n" + IO + "const s = io()\n</script>"}, Severity.ERROR),
        (KIT, {"src__lib__socket_js": MODULE, "src__a_svelte": "<script>\n" + USER + "\n</script>"}, Severity.WARNING),
    ],
)
def test_code_outside_of_effects_runs_in_the_server(
    dependencies: dict[str, str], files: dict[str, str], severity: Severity
) -> None:
    ((file, found),) = on_server(dependencies, **files)
    assert (file.replace("/", "__").replace(".", "_"), found) == (next(iter(files)), severity)


QUIET: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "page that is not rendered there": ({"vite": "5"}, {"lib__socket_ts": MODULE, "app__a_tsx": USER}),
    "module that nothing imports": (NEXT, {"lib__socket_ts": MODULE}),
    "import in an effect": (NEXT, {"lib__socket_ts": MODULE, "a_tsx": USER, "b_tsx": "await import('./lib/socket')"}),
    "ssr: false": (NEXT, {"app__chat_tsx": MODULE, "b_tsx": "dynamic(() => import('./chat'), { ssr: false })"}),
    "application without server": (NUXT, {"pages__a_vue": MODULE, "nuxt_config_ts": "export default { ssr: false }"}),
    "application without server, in Nuxt 2": (
        NUXT,
        {"pages__a_vue": MODULE, "nuxt_config_js": "export default { mode: 'spa' }"},
    ),
    "route without server": (KIT, {"src__a_svelte": MODULE, "src__routes__layout_js": "export const ssr = false"}),
    "plugin for the browser": (NUXT, {"plugins__socket_client_ts": MODULE}),
    "code of the server": (NEXT, {"pages__api__notify_ts": MODULE, "server__feed_ts": MODULE, "server_js": MODULE}),
    "route handler": (NEXT, {"app__feed__route_ts": MODULE}),
    "ternary": (NEXT, {"app__s_ts": IO + "export const s = typeof window === 'undefined' ? null : io();"}),
    "condition": (NEXT, {"app__s_ts": IO + "export let s; if (typeof window !== 'undefined') { s = io(); }"}),
    "return": (NUXT, {"composables__s_ts": IO + "export const useS = () => { if (import.meta.server) return; io() }"}),
    "client only": (NUXT, {"pages__a_vue": "<script setup>\n" + IO + "if (process.client) { io() }\n</script>"}),
    "connected later": (NEXT, {"app__s_ts": IO + "export const s = io('/a', { autoConnect: false });"}),
    "options of another file": (NEXT, {"app__s_ts": IO + "export const s = io('/a', options);"}),
    "effect": (NEXT, {"app__a_tsx": IO + "function A() { useEffect(() => { io() }, []); return <p/> }"}),
    "function": (NEXT, {"app__s_ts": IO + "export function open() { return io() }"}),
    "class": (NEXT, {"app__s_ts": IO + "export class Feed { socket = io() }"}),
    "WebSocket": (NEXT, {"app__s_ts": "export const s = new WebSocket('wss://a');"}),
}  # fmt: skip


@pytest.mark.parametrize(("dependencies", "files"), QUIET.values(), ids=QUIET)
def test_code_that_the_server_may_not_run_is_no_finding(dependencies: dict[str, str], files: dict[str, str]) -> None:
    assert on_server(dependencies, **files) == []
