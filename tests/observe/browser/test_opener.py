"""Original names of functions in a minified bundle, from the position of the caller."""

import base64
import json

import pytest

from wscheck.observe.browser.opener import DevToolsStack, resolve_origin
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
