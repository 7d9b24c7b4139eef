"""Original names of functions in a minified bundle, from the position of the caller."""

import asyncio
import base64
import contextlib
import json
from typing import Any

import pytest

from wscheck.model.code_facts import Cleanup, CodeLocation, OpenerCode
from wscheck.observe.browser import opener
from wscheck.observe.browser.opener import DevToolsStack, OpenerCodeReader, resolve_origin
from wscheck.observe.browser.scripts import PageScripts
from wscheck.observe.traffic import TrafficRedactor, UrlFormatter


def map_of(source: str, name: str) -> str:
    """A map of one segment: all of the script was written at the beginning of `source`, where `name` stands."""
    text = json.dumps({"version": 3, "sources": [source, "other"], "names": [name], "mappings": "AAAAA"})
    return f"data:application/json;base64,{base64.b64encode(text.encode()).decode()}"


@pytest.mark.parametrize(
    ("opener", "caller", "called"),
    [
        ("src/hooks/useChat.ts", "src/Chat.tsx", "useChat"),
        ("src/Chat.svelte", "src/App.svelte", "Chat"),
        ("src/Chat.vue", "node_modules/@vue/runtime-core/index.js", "Chat"),
    ],
)
async def test_a_component_file_names_its_component(opener: str, caller: str, called: str) -> None:
    """The compiler gives it another name, such as Page_1 for a dynamic component of Svelte 5."""
    scripts = PageScripts(UrlFormatter(TrafficRedactor()))
    for number, (file, name) in enumerate(((opener, "io"), (caller, "useChat" if "use" in opener else "Page_1"))):
        url = f"http://h/{number}.js"
        scripts.on_script_parsed("s", {"scriptId": str(number), "url": url, "sourceMapURL": map_of(file, name)})
        scripts.request_maps("s", [str(number)])
    await scripts.wait_for_maps()
    scripts.close()
    frames = [{"scriptId": str(n), "lineNumber": 0, "columnNumber": 0, "functionName": "t"} for n in range(2)]
    assert resolve_origin(DevToolsStack("s", {"callFrames": frames}), scripts).component == called


LEAKS = """import { io } from "socket.io-client";
export function Feed() {
  useEffect(() => {
    const pass = "sesame-4711";
    const s = io("/", { auth: { pass } });
    s.on("news", () => {});
  }, []);
  return <p/>;
}
"""


class OneFile:
    """Scripts of a page with one source file, in which the frames of the stack are."""

    def __init__(self, file: str, text: str) -> None:
        before = text[: text.index("io(")]
        self.place = CodeLocation(file, before.count("\n") + 1, len(before) - before.rfind("\n"), "Feed")
        self.text = text

    def resolve_frame(self, session: str, frame: dict[str, Any]) -> tuple[CodeLocation, str]:
        return self.place, ""

    def position_in_bundle(self, session: str, frame: dict[str, Any]) -> CodeLocation:
        return self.place

    def script_url(self, session: str, script_id: str, url: str) -> str:
        return "http://h/app.js"

    def source_at(self, session: str, frame: dict[str, Any]) -> tuple[CodeLocation, bytes]:
        return self.place, self.text.encode()

    def run_number(self, session: str, script_id: str) -> int:
        return 1


def code_of(file: str, text: str) -> OpenerCode:
    code, _ = read_code(file, text)
    assert code is not None
    return code


def read_code(file: str, text: str) -> tuple[OpenerCode | None, list[str]]:
    scripts, redactor = OneFile(file, text), TrafficRedactor()
    redactor.learn("sesame-4711")
    frame = {"scriptId": "1", "lineNumber": 0, "columnNumber": 0, "functionName": "Feed"}
    stack = DevToolsStack("s", {"callFrames": [frame]})
    reader = OpenerCodeReader(scripts, redactor)
    return reader.read(stack, resolve_origin(stack, scripts)), reader.notes


def test_a_missing_cleanup_has_a_patch_without_the_secrets_of_the_traffic() -> None:
    patch = code_of("src/feed.jsx", LEAKS).patch
    assert patch is not None and patch.file == "src/feed.jsx"
    assert "+    return () => {\n+      s.disconnect();\n+    };\n" in patch.diff
    assert "sesame" not in patch.diff and 'pass = "hidden-1"' in patch.diff


def test_code_that_closes_and_a_bundle_without_a_map_have_no_patch() -> None:
    closes = LEAKS.replace("  }, []);", "    return () => s.close();\n  }, []);")
    assert code_of("src/feed.jsx", closes).patch is None
    assert code_of("http://h/app.js", LEAKS).patch is None


@pytest.mark.parametrize("within", ["node_modules/", "apps/web/node_modules/", ""])
def test_a_connection_that_only_a_package_opened_has_a_place_in_it_and_no_patch(within: str) -> None:
    scripts = OneFile(f"{within}@feeds/react/feed.jsx", LEAKS)
    stack = DevToolsStack("s", {"callFrames": [{"scriptId": "1", "lineNumber": 0, "columnNumber": 0}]})
    reader = OpenerCodeReader(scripts, TrafficRedactor())
    assert (reader.resolve_origin(stack).opener is None) == bool(within)
    found = reader.resolve_package(stack)
    assert found.opener is not None and found.opener.file == "@feeds/react/feed.jsx"
    assert not within or (found.code is not None and found.code.cleanup is Cleanup.MISSING and not found.code.patch)


def test_code_that_takes_too_long_to_read_is_left_out_with_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_code("src/feed.jsx", LEAKS)[1] == []
    monkeypatch.setattr(opener, "MAX_FILE_S", -1.0)
    code, notes = read_code("src/sesame-4711.jsx", LEAKS)
    assert code is None
    assert notes == ["The code in src/hidden-1.jsx takes too long to read: causes may be missing."]


def test_an_interrupted_run_reads_code_for_a_short_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opener, "MAX_INTERRUPTED_S", -1.0)
    stack = DevToolsStack("s", {"callFrames": [{"scriptId": "1", "lineNumber": 0, "columnNumber": 0}]})
    reader = OpenerCodeReader(OneFile("src/feed.jsx", LEAKS), TrafficRedactor())
    reader.interrupt()
    assert reader.resolve_origin(stack).code is None
    assert reader.notes == ["The code in src/feed.jsx takes too long to read: causes may be missing."]


def test_a_cancelled_run_reads_no_more_code() -> None:
    async def work() -> tuple[OpenerCode | None, list[str]]:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        found = read_code("src/feed.jsx", LEAKS)
        task.uncancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0)
        return found

    assert asyncio.run(work())[0] is None
