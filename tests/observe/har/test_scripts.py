"""Scripts in a HAR file: files are named from the root of the server."""

import base64
import json

from wscheck.observe.browser.opener import DevToolsStack, resolve_origin
from wscheck.observe.har.events import HarScripts
from wscheck.observe.traffic import TrafficRedactor, UrlFormatter


def test_files_of_vite_are_named_without_its_base() -> None:
    """As in a HAR file of Nuxt's development server."""
    text = json.dumps({"version": 3, "sources": ["Chat.vue"], "names": [], "mappings": "AAAA"})
    inline = base64.b64encode(text.encode()).decode()
    scripts = HarScripts(UrlFormatter(TrafficRedactor()), (), "app")
    url = "http://h/_nuxt/components/Chat.vue"
    scripts.add(url, f"io()\n//# sourceMappingURL=data:application/json;base64,{inline}")
    scripts.add("http://h/_nuxt/@vite/client", "")
    place, _ = scripts.resolve_frame("", {"url": url, "lineNumber": 0, "columnNumber": 0})
    assert str(place) == "app/components/Chat.vue:1:1"


def test_a_call_that_the_map_does_not_contain_is_opened_in_the_bundle_with_a_note() -> None:
    scripts = HarScripts(UrlFormatter(TrafficRedactor()), (), "")
    text = json.dumps({"version": 3, "sources": ["a.ts", "b.ts"], "names": [], "mappings": "AAAA"})
    inline = base64.b64encode(text.encode()).decode()
    scripts.add("http://h/app.js", f"io()\n//# sourceMappingURL=data:application/json;base64,{inline}")
    frame = {"scriptId": "", "url": "http://h/app.js", "lineNumber": 7, "columnNumber": 0}
    origin = resolve_origin(DevToolsStack("", {"callFrames": [frame]}), scripts)
    assert str(origin.opener) == "http://h/app.js:8:1"
    (note,) = scripts.notes.values()
    assert note.endswith("are those of the bundle: its source map does not contain them.")
