"""Scripts of a page: each has its own source map, and a missing map is noted once."""

import base64
import json

from wscheck.model.events import CodeLocation
from wscheck.observe.browser.opener import DevToolsStack, resolve_origin
from wscheck.observe.browser.scripts import PageScripts
from wscheck.observe.traffic import TrafficRedactor, UrlFormatter

PAGE = "http://h/page.html"


def inline(source: str) -> str:
    """A map of one segment, as a `data:` URI."""
    text = json.dumps({"version": 3, "sources": [source, "other.ts"], "names": [], "mappings": "AAAA"})
    return f"data:application/json;base64,{base64.b64encode(text.encode()).decode()}"


async def read(*scripts: tuple[str, str]) -> PageScripts:
    """Load scripts 0, 1, ... of one page, given as (URL, URL of the map), with their maps."""
    found = PageScripts(UrlFormatter(TrafficRedactor()))
    for number, (url, map) in enumerate(scripts):
        found.on_script_parsed("s", {"scriptId": str(number), "url": url, "sourceMapURL": map})
        found.request_maps("s", [str(number)])
    await found.wait_for_maps()
    found.close()
    return found


async def test_scripts_that_share_an_address_are_each_read_through_their_own_map() -> None:
    found = await read((PAGE, inline("src/a.ts")), (PAGE, inline("src/b.ts")))
    assert [str(found.resolve_position("s", each, 0, 0)) for each in ("0", "1")] == ["src/a.ts:1:1", "src/b.ts:1:1"]
    assert found.notes == []


async def test_a_missing_map_is_noted_only_for_application_scripts() -> None:
    found = await read((PAGE, ""), ("http://cdn/socket.io.min.js", ""), ("", ""), ("http://h/unused.js", ""))
    for each in ("0", "1", "2"):
        found.resolve_position("s", each, 3, 4)
    assert found.notes == [f"Positions in {PAGE} are those of the bundle: it has no source map."]


async def test_a_call_that_the_map_does_not_contain_is_opened_in_the_bundle_with_a_note() -> None:
    found = await read((PAGE, inline("src/a.ts")))

    def origin(line: int) -> CodeLocation | None:
        frame = {"scriptId": "0", "url": PAGE, "lineNumber": line, "columnNumber": 4}
        return resolve_origin(DevToolsStack("s", {"callFrames": [frame]}), found).opener

    assert str(origin(0)) == "src/a.ts:1:1" and found.notes == []
    assert str(origin(3)) == f"{PAGE}:4:5"
    assert found.notes == [f"Positions in {PAGE} are those of the bundle: its source map does not contain them."]


async def test_files_are_named_from_the_root_of_vite_with_any_base() -> None:
    """Nuxt serves below /_nuxt/, and others set `base`; the map has only the file name."""
    for base in ("", "/_nuxt", "/bots/dashboard"):
        client = (f"http://h{base}/@vite/client", "")
        found = await read(client, (f"http://h{base}/components/Chat.vue?t=1", alone("Chat.vue")))
        assert str(found.resolve_position("s", "1", 0, 0)) == "components/Chat.vue:1:1", base


def alone(source: str) -> str:
    text = json.dumps({"version": 3, "sources": [source], "names": [], "mappings": "AAAA"})
    return f"data:application/json;base64,{base64.b64encode(text.encode()).decode()}"
