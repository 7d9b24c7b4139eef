"""Patches that add the missing cleanup: their text, and the code for which there is none."""

import pytest

from wscheck.detect.code.cleanup_patches import Edit, patched
from wscheck.detect.code.packages import Package
from wscheck.detect.code.source_tree import file_facts, findings_in
from wscheck.model.code_facts import Patch

IO = 'import { io } from "socket.io-client";\n'
SHARED = 'import { socket } from "./socket";\n'


def patches_of(path: str, content: bytes, vue: str = "") -> list[Patch]:
    package = Package(".", {"vue": vue} if vue else {"react": "18"})
    findings = findings_in([file_facts(path, content, package)])
    return [finding.patch for finding in findings if finding.patch is not None]


def after(path: str, content: bytes, vue: str = "") -> bytes:
    """Return a file after its patches, which are the same for all findings of one effect."""
    for patch in {each.diff: each for each in patches_of(path, content, vue)}.values():
        edits = [Edit(each.start, each.end, each.text) for each in patch.replacements]
        content = patched(content, edits)
    return content


REACT = """function Chat() {
  const [live, setLive] = useState(null);
  useEffect(() => {
    BODY
  }, []);
  return <p/>;
}
"""


def react(body: str) -> str:
    return REACT.replace("BODY", body.replace("\n", "\n    "))


CASES = {
    "variable": (
        "a.jsx",
        IO + react('const live = io("/a");\nlive.on("x", f);'),
        IO + react('const live = io("/a");\nlive.on("x", f);\nreturn () => {\n  live.disconnect();\n};'),
    ),
    "typed variable": (
        "a.tsx",
        IO + react('const live: Socket = io("/a") as Socket;'),
        IO + react('const live: Socket = io("/a") as Socket;\nreturn () => {\n  live.disconnect();\n};'),
    ),
    "variable in a condition, after a return": (
        "a.jsx",
        IO + react('if (!user) return;\nif (room) {\n  const live = io("/a");\n}'),
        IO + react(
            'if (!user) return;\nif (room) {\n  const live = io("/a");\n'
            "  return () => {\n    live.disconnect();\n  };\n}"
        ),
    ),
    "ref": (
        "a.tsx",
        IO + react('ref.current = io("/a")\nref.current.on("x", f)'),
        IO + react(
            'ref.current = io("/a")\nref.current.on("x", f)\nreturn () => {\n  ref.current?.disconnect()\n}'
        ),
    ),
    "state": (
        "a.jsx",
        IO + react('setLive(io("/a"));'),
        IO + react('const socket = io("/a");\nsetLive(socket);\nreturn () => {\n  socket.disconnect();\n};'),
    ),
    "no name": (
        "a.jsx",
        react('new WebSocket("/a");'),
        react('const socket = new WebSocket("/a");\nreturn () => {\n  socket.close();\n};'),
    ),
    "one line": (
        "a.jsx",
        IO + "function A() { useEffect(() => { const s = io('/a'); s.on('x', f) }, []); return <p/> }",
        IO + "function A() { useEffect(() => { const s = io('/a'); s.on('x', f); return () => { s.disconnect(); }; }, "
        "[]); return <p/> }",
    ),
    "tabs and CRLF": (
        "a.jsx",
        IO + "function A() {\r\n\tuseEffect(() => {\r\n\t\tconst s = io('/a');\r\n\t}, []);\r\n\treturn <p/>;\r\n}",
        IO + "function A() {\r\n\tuseEffect(() => {\r\n\t\tconst s = io('/a');\r\n\t\treturn () => {\r\n"
        "\t\t\ts.disconnect();\r\n\t\t};\r\n\t}, []);\r\n\treturn <p/>;\r\n}",
    ),
    "listeners": (
        "a.jsx",
        SHARED + react('socket.on("a", onA);\nsocket?.on("news item", (item) => {\n  show(item);\n});'),
        SHARED + react(
            'socket.on("a", onA);\nconst onNewsItem = (item) => {\n  show(item);\n};\n'
            'socket?.on("news item", onNewsItem);\n'
            'return () => {\n  socket.off("a", onA);\n  socket?.off("news item", onNewsItem);\n};'
        ),
    ),
    "cleanup that forgets one listener": (
        "a.jsx",
        SHARED + react("socket.on('a', f);\nsocket.on('b', g);\nreturn () => {\n  socket.off('b', g);\n};"),
        SHARED + react(
            "socket.on('a', f);\nsocket.on('b', g);\nreturn () => {\n  socket.off('b', g);\n  socket.off('a', f);\n};"
        ),
    ),
    "comment for the line of the bracket": (
        "a.jsx",
        IO + react('const s = io("/a");\n\n// eslint-disable-next-line'),
        IO + react('const s = io("/a");\nreturn () => {\n  s.disconnect();\n};\n\n// eslint-disable-next-line'),
    ),
    "typed listener": (
        "a.tsx",
        SHARED + react("socket.on<Names>('a', (n: number) => show(n));"),
        SHARED + react(
            "const onA = (n: number) => show(n);\nsocket.on<Names>('a', onA);\n"
            "return () => {\n  socket.off<Names>('a', onA);\n};"
        ),
    ),
    "cleanup that closes nothing": (
        "a.jsx",
        IO + react("const s = io('/a');\nreturn () => {\n  s.emit('leave');\n};"),
        IO + react("const s = io('/a');\nreturn () => {\n  s.emit('leave');\n  s.disconnect();\n};"),
    ),
    "cleanup in one line": (
        "a.jsx",
        SHARED + react("socket.on('a', f)\nsocket.on('b', g)\nreturn () => { socket.off('b', g) }"),
        SHARED
        + react("socket.on('a', f)\nsocket.on('b', g)\nreturn () => { socket.off('b', g); socket.off('a', f); }"),
    ),
    "listener and connection": (
        "a.jsx",
        IO + SHARED + react("const feed = new EventSource('/f');\nwindow.a = 1;\nsetLive(io('/a'))"),
        IO + SHARED + react(
            "const feed = new EventSource('/f');\nwindow.a = 1;\nconst socket = io('/a')\nsetLive(socket)\n"
            "return () => {\n  feed.close();\n  socket.disconnect();\n};"
        ),
    ),
    "svelte": (
        "a.svelte",
        "<script>\nimport { onMount } from 'svelte';\n" + IO + "onMount(() => {\n\tconst s = io('/a');\n});\n</script>",
        "<script>\nimport { onMount } from 'svelte';\n" + IO + "onMount(() => {\n\tconst s = io('/a');\n"
        "\treturn () => {\n\t\ts.disconnect();\n\t};\n});\n</script>",
    ),
    "svelte, asynchronous": (
        "a.svelte",
        "<script>\nimport { onMount } from 'svelte';\n" + IO
        + "onMount(async () => {\n\tconst s = io('/a');\n\tawait f(s.id);\n});\n</script>",
        "<script>\nimport { onMount, onDestroy } from 'svelte';\n" + IO
        + "let s;\nonMount(async () => {\n\ts = io('/a');\n\tawait f(s.id);\n});\n"
        "onDestroy(() => {\n\ts?.disconnect();\n});\n</script>",
    ),
    "svelte 5": (
        "a.svelte",
        "<script>\n" + SHARED + "let rows = $state([]);\n$effect(() => {\n  socket.on('x', show)\n})\n</script>",
        "<script>\n" + SHARED + "let rows = $state([]);\n$effect(() => {\n  socket.on('x', show)\n"
        "  return () => {\n    socket.off('x', show)\n  }\n})\n</script>",
    ),
    "vue": (
        "a.vue",
        '<script setup lang="ts">\nimport { onMounted } from "vue";\n' + IO
        + "onMounted(() => {\n  const s = io('/a');\n  s.on('x', f);\n});\n</script>\n<template><p/></template>\n",
        '<script setup lang="ts">\nimport { onMounted, onUnmounted } from "vue";\n' + IO
        + "let s: ReturnType<typeof io>;\nonMounted(() => {\n  s = io('/a');\n  s.on('x', f);\n});\n"
        "onUnmounted(() => {\n  s?.disconnect();\n});\n</script>\n<template><p/></template>\n",
    ),
    "nuxt, which imports by itself": (
        "a.vue",
        "<script setup>\n" + SHARED + "onMounted(() => { socket.on('x', show) })\n</script>",
        "<script setup>\n" + SHARED + "onMounted(() => { socket.on('x', show) })\n"
        "onUnmounted(() => {\n  socket.off('x', show)\n})\n</script>",
    ),
    "options of vue 3": (
        "a.vue",
        "<script>\n" + IO + "export default {\n  mounted() {\n    this.s = io('/a');\n  },\n};\n</script>",
        "<script>\n" + IO + "export default {\n  mounted() {\n    this.s = io('/a');\n  },\n"
        "  unmounted() {\n    this.s.disconnect();\n  },\n};\n</script>",
    ),
    "angular": (
        "a.component.ts",
        IO + "export class A {\n  ngOnInit() {\n    this.s = io('/a');\n  }\n}\n",
        IO + "export class A {\n  ngOnInit() {\n    this.s = io('/a');\n  }\n\n"
        "  ngOnDestroy() {\n    this.s?.disconnect();\n  }\n}\n",
    ),
    "method that exists": (
        "a.component.ts",
        SHARED + "export class A {\n  ngOnInit() {\n    socket.on('x', this.show);\n  }\n"
        "  ngOnDestroy() {\n    this.log();\n  }\n}\n",
        SHARED + "export class A {\n  ngOnInit() {\n    socket.on('x', this.show);\n  }\n"
        "  ngOnDestroy() {\n    socket.off('x', this.show);\n    this.log();\n  }\n}\n",
    ),
    "custom element": (
        "a.js",
        IO + "class A extends LitElement {\n  connectedCallback() {\n    super.connectedCallback();\n"
        "    this.s = io('/a');\n  }\n}\n",
        IO + "class A extends LitElement {\n  connectedCallback() {\n    super.connectedCallback();\n"
        "    this.s = io('/a');\n  }\n\n  disconnectedCallback() {\n    super.disconnectedCallback();\n"
        "    this.s.disconnect();\n  }\n}\n",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("path", "before", "expected"), CASES.values(), ids=CASES)
def test_a_patch_adds_the_cleanup_in_the_form_of_the_framework(path: str, before: str, expected: str) -> None:
    vue = "^3.4.0" if path.endswith(".vue") else ""
    written = after(path, before.encode(), vue)
    assert written.decode() == expected
    assert patches_of(path, written, vue) == []


def test_the_method_of_vue_2_has_another_name() -> None:
    code = "<script>\n" + IO + "export default {\n  mounted() {\n    this.s = io('/a')\n  }\n}\n</script>"
    assert b"beforeDestroy() {" in after("a.vue", code.encode(), "~2.7")
    assert patches_of("a.vue", code.encode()) == []


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
@pytest.mark.parametrize("start", ["", "\ufeff", "const text = 'Grüße 😀';\n"])
def test_the_rest_of_a_file_stays_byte_for_byte(start: str, ending: str) -> None:
    before = (start + IO + react("const s = io('/a'); // 😀").rstrip() + ending).encode()
    (patch,) = patches_of("a.jsx", before)
    (replacement,) = patch.replacements
    assert before == before[: replacement.start] + before[replacement.end :]
    assert after("a.jsx", before).replace(replacement.text.encode(), b"") == before


def test_columns_count_utf_16_code_units() -> None:
    code = IO + "function A() { useEffect(() => { const s = io('/😀') }, []); return <p/> }"
    (patch,) = patches_of("a.jsx", code.encode())
    (replacement,) = patch.replacements
    line = code.splitlines()[1]
    column = len(line[: line.index(" }, [])")].encode("utf-16-le")) // 2 + 1
    assert (replacement.line, replacement.column, replacement.end_column) == (2, column, column)


NONE = {
    "asynchronous effect": IO + react("io('/a')").replace("() => {\n    io", "async () => {\n    io"),
    "return after the call": IO + react("const s = io('/a');\nif (s.connected) return;\ns.on('x', f);"),
    "statement after the condition": IO + react("if (a) {\n  const s = io('/a');\n}\nb();"),
    "function in the effect": IO + react("const dial = () => {\n  const s = io('/a');\n};\ndial();"),
    "loop": IO + react("for (const url of urls) {\n  const s = io(url);\n}"),
    "pattern": IO + react("const { id } = io('/a');"),
    "manager": 'import { Manager } from "socket.io-client";\n' + react("const m = new Manager('/a');"),
    "function that returns a promise": 'import { fetchEventSource } from "@microsoft/fetch-event-source";\n'
    + react("const s = fetchEventSource('/a', {});"),
    "syntax error elsewhere": IO + react("const s = io('/a');") + "\nfunction (((",
    "handler that is made": SHARED + react("socket.on('x', debounce(f));"),
    "two listeners that need one name": SHARED + react("socket.on('x', () => a());\nsocket.on('x', () => b());"),
}  # fmt: skip


def test_a_handler_whose_types_come_from_its_place_stays_there() -> None:
    code = (SHARED + react("socket.on('a', (n) => show(n));")).encode()
    assert patches_of("a.jsx", code) != [] and patches_of("a.tsx", code) == []


@pytest.mark.parametrize("code", NONE.values(), ids=NONE)
def test_code_of_another_shape_has_a_finding_without_a_patch(code: str) -> None:
    findings = findings_in([file_facts("a.jsx", code.encode())])
    assert findings and all(finding.patch is None for finding in findings)


def test_the_diff_is_one_that_git_reads() -> None:
    (patch,) = patches_of("src/a.jsx", (IO + react("const s = io('/a');").rstrip()).encode())
    assert patch.diff.startswith("--- a/src/a.jsx\n+++ b/src/a.jsx\n@@ -3,6 +3,9 @@\n")
    assert "+    return () => {\n+      s.disconnect();\n+    };\n" in patch.diff
    assert patch.diff.endswith(" }\n\\ No newline at end of file\n")
