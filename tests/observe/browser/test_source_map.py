"""Source maps of real bundlers lead to the source line; invalid maps are refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.frontend import built
from tests.node_backend import EXAMPLE
from wscheck.observe.browser.source_map import InvalidSourceMap, SourceMap, decode_mappings, source_name

DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


@pytest.mark.parametrize("variant", ["dev", "prod"])
def test_a_real_bundle_is_mapped_to_its_sources(variant: str) -> None:
    folder = built(variant)
    bundle = folder.joinpath("broken.js").read_text().split("\n")
    found = SourceMap(folder.joinpath("broken.js.map").read_bytes())
    source = EXAMPLE.joinpath("src/hooks/useBotWebSocket.ts").read_text().splitlines()
    wanted = next(number for number, line in enumerate(source, start=1) if "request_bot_status" in line)
    line, column = next((n, text.index("request_bot_status")) for n, text in enumerate(bundle) if "request_bot" in text)
    place = found.find(line, column)
    assert place is not None
    assert (place[0].file, place[0].line) == ("src/hooks/useBotWebSocket.ts", wanted)


def encoded(value: int) -> str:
    """Encode a value as base64 VLQ (ECMA-426)."""
    rest, text = (abs(value) << 1) | (value < 0), ""
    while True:
        digit, rest = rest & 31, rest >> 5
        text += DIGITS[digit | (32 if rest else 0)]
        if not rest:
            return text


@given(st.lists(st.lists(st.tuples(*[st.integers(0, 500)] * 4), max_size=5), max_size=5))
def test_encoded_mappings_are_decoded(rows: list[list[tuple[int, int, int, int]]]) -> None:
    wanted = [[(*segment, -1) for segment in sorted(row)] for row in rows] or [[]]
    before, lines = [0, 0, 0], []
    for row in wanted:
        column, texts = 0, []
        for segment in row:
            texts.append(encoded(segment[0] - column) + "".join(encoded(segment[n + 1] - before[n]) for n in range(3)))
            column, before = segment[0], list(segment[1:4])
        lines.append(",".join(texts))
    assert decode_mappings(";".join(lines)) == wanted


def test_an_index_map_is_read_section_by_section() -> None:
    part = {"version": 3, "sources": ["a.ts"], "names": [], "mappings": "AAAA"}
    text = json.dumps({"version": 3, "sections": [{"offset": {"line": 2, "column": 5}, "map": part}]})
    found = SourceMap(text)
    assert found.find(0, 0) is None
    place = found.find(2, 7)
    assert place is not None and str(place[0]) == "a.ts:1:1"


@pytest.mark.parametrize(
    "text",
    ["", "<html>", "[]", "{}", '{"version":3}', '{"sources":[],"mappings":"?"}', '{"sources":1,"mappings":"AAAA"}'],
)
def test_other_json_is_refused(text: str) -> None:
    with pytest.raises(InvalidSourceMap):
        SourceMap(text)


@pytest.mark.parametrize("offset", [{"line": -5, "column": 0}, {"line": 0, "column": "x"}, {"line": 0.5, "column": 0}])
def test_a_section_at_no_position_is_refused(offset: dict[str, Any]) -> None:
    part = {"version": 3, "sources": ["a.ts"], "mappings": "AAAA"}
    with pytest.raises(InvalidSourceMap):
        SourceMap(json.dumps({"version": 3, "sections": [{"offset": offset, "map": part}]}))


def test_a_negative_line_of_a_source_is_no_position() -> None:
    assert SourceMap(json.dumps({"version": 3, "sources": ["a.ts"], "mappings": "AADA"})).find(0, 0) is None


def test_a_source_without_a_name_is_unmapped() -> None:
    """As a bundler writes it for code of its own."""
    text = json.dumps({"version": 3, "sources": [None, "a.ts"], "names": [], "mappings": "AAAA,CCAA"})
    assert SourceMap(text).find(0, 0) is None
    assert SourceMap(text).find(0, 1) is not None


@pytest.mark.parametrize("mappings", ["A!AA", "é"])
def test_a_broken_map_is_refused(mappings: str) -> None:
    with pytest.raises(InvalidSourceMap, match="VLQ"):
        decode_mappings(mappings)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("../../src/a.ts", "src/a.ts"),
        ("webpack://my-app/./src/a.ts?1f3d", "src/a.ts"),
        ("webpack-internal:///./src/a.ts", "src/a.ts"),
        (
            "webpack-internal:///./node_modules/babel-loader/index.js??ref!./src/App.vue?vue&type=js",
            "src/App.vue",
        ),
        ("webpack:///./node_modules/ts-loader/index.js!/srv/app/src/b.ts", "/srv/app/src/b.ts"),
        ("webpack-internal:///(app-pages-browser)/./src/app/(dashboard)/page.tsx", "src/app/(dashboard)/page.tsx"),
        ("webpack://_N_E/(pages-dir-browser)/./src/a.ts", "src/a.ts"),
        ("webpack:///(dashboard)/page.tsx", "(dashboard)/page.tsx"),
        ("turbopack://[project]/src/a.ts", "src/a.ts"),
        ("turbopack:///[project]/src/a.ts", "src/a.ts"),
        ("file:///elsewhere/src/a.ts", "/elsewhere/src/a.ts"),
        ("https://user:word@cdn.example/lib/a.js?token=1", "lib/a.js"),
        ("src//a.ts", "src/a.ts"),
    ],
)
def test_a_source_is_named_from_the_project_root(source: str, name: str) -> None:
    assert source_name(source) == name


@pytest.mark.parametrize("scheme", ["file://", "webpack://_N_E/", "/@fs", ""])
def test_an_absolute_path_is_relative_to_the_working_directory(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert source_name(f"{scheme}{tmp_path}/web/hooks/a.ts") == "web/hooks/a.ts"


@pytest.mark.parametrize(
    ("url", "sources", "root", "name"),
    [
        ("http://h/src/hooks/a.ts?t=17", ["a.ts"], "", "src/hooks/a.ts"),
        ("http://h/@fs/elsewhere/packages/a.ts", ["a.ts"], "", "/elsewhere/packages/a.ts"),
        ("http://h/assets/main.js", ["../../src/a.ts"], "", "src/a.ts"),
        ("http://h/static/js/main.js", ["a.ts"], "", "a.ts"),
        ("http://h/static/js/a.ts", ["a.ts", "b.ts"], "", "a.ts"),
        ("http://h/main.js", ["a.ts"], "src", "src/a.ts"),
        ("http://h/main.js", ["a.ts"], "src/", "src/a.ts"),
    ],
)
def test_a_single_source_is_named_by_its_url(url: str, sources: list[str], root: str, name: str) -> None:
    text = json.dumps({"version": 3, "sources": sources, "sourceRoot": root, "names": [], "mappings": "AAAA"})
    place = SourceMap(text, url).find(0, 0)
    assert place is not None and place[0].file == name


@pytest.mark.parametrize(
    ("sources", "names"),
    [
        (["webpack://Pusher/src/a.ts", "../src/app.jsx"], ["node_modules/pusher/src/a.ts", "src/app.jsx"]),
        (["webpack://shop/./src/a.ts", "webpack://shop/webpack/bootstrap"], ["src/a.ts", "webpack/bootstrap"]),
        (["webpack://shop/src/a.ts", "webpack://shop/src/b.ts"], ["src/a.ts", "src/b.ts"]),
        (["webpack://_N_E/./app/a.tsx", "app/b.tsx"], ["app/a.tsx", "app/b.tsx"]),
    ],
)
def test_a_library_that_webpack_built_before_is_named_like_a_package(sources: list[str], names: list[str]) -> None:
    text = json.dumps({"version": 3, "sources": sources, "mappings": "AAAA;ACAA"})
    found = [SourceMap(text).find(line, 0) for line in (0, 1)]
    assert [place[0].file for place in found if place is not None] == names


@pytest.mark.parametrize(
    ("segments", "at", "position"),
    [
        ([(19, 7, 0), (21, 6, 18), (23, 6, 23)], 19, "leak.vue:7:19"),  # o(t,r()).on(...)
        ([(19, 7, 0), (21, 6, 18), (23, 6, 23)], 20, "leak.vue:8:1"),  # within the name
        ([(19, 7, 0), (21, 7, 10)], 19, "leak.vue:8:1"),  # o(t): as it was written
        ([(19, 7, 0), (23, 6, 18)], 19, "leak.vue:8:1"),  # o():a(): the other branch was written before
    ],
    ids=["moved", "inside", "in place", "another call"],
)
def test_a_call_that_a_minifier_moved_is_mapped_to_its_argument(
    segments: list[tuple[int, int, int]], at: int, position: str
) -> None:
    """`const socket = io(url, options()); socket.on(...)`, as Vite 8 minifies it."""
    texts, before = [], (0, 0, 0)
    for segment in segments:
        column, line, start = (now - then for now, then in zip(segment, before, strict=True))
        texts.append(encoded(column) + encoded(0) + encoded(line) + encoded(start))
        before = segment
    found = SourceMap(json.dumps({"version": 3, "sources": ["leak.vue"], "names": [], "mappings": ",".join(texts)}))
    place = found.find(0, at)
    assert place is not None and str(place[0]) == position
