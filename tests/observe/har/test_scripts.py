"""Scripts in a HAR file: files are named from the root of the server."""

import base64
import json

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
