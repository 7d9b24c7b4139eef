"""The scripts that a HAR holds: files are named as they lie below the root of the server that sent them."""

import base64
import json

from wscheck.observe.har.scripts import HarScripts
from wscheck.observe.traffic import TrafficRedactor, UrlFormatter


def test_files_of_vite_are_named_without_the_base_that_it_serves_them_below() -> None:
    """As a HAR of Nuxt's development server holds them."""
    text = json.dumps({"version": 3, "sources": ["Chat.vue"], "names": [], "mappings": "AAAA"})
    inline = base64.b64encode(text.encode()).decode()
    held = HarScripts(UrlFormatter(TrafficRedactor()), (), "app")
    url = "http://h/_nuxt/components/Chat.vue"
    held.add(url, f"io()\n//# sourceMappingURL=data:application/json;base64,{inline}")
    held.add("http://h/_nuxt/@vite/client", "")
    place, _ = held.resolve_frame("", {"url": url, "lineNumber": 0, "columnNumber": 0})
    assert str(place) == "app/components/Chat.vue:1:1"
