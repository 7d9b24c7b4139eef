"""Values of the URLs of connections, within a file and over several files."""

from collections.abc import Mapping

import pytest

from wscheck.detect.code.connection_calls import connection_calls
from wscheck.detect.code.syntax import parse_source
from wscheck.detect.code.url_values import ModuleConstants, ModuleIndex, module_constants, resolved, url_value

IO = 'import { io } from "socket.io-client"; import { host } from "./host"; import env, { api } from "@/env";\n'


def value(code: str) -> str | None:
    source = parse_source("src/a.ts", (IO + code).encode())
    (call,) = connection_calls(source)
    return url_value(source, call)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("io()", ""),
        ("io({ path: '/x' })", ""),
        ("io('/')", ""),
        ("io(window.location.origin)", ""),
        ("io('http://a:1/')", "http://a:1"),
        ("const url = 'http://a:1'; io(url)", "http://a:1"),
        ("const host1 = 'a', url = `http://${host1}:1` as const; io(url!)", "http://a:1"),
        ("const url = 'http://' + 'a'; io(url)", "http://a"),
        ("io(process.env.API!)", "{process.env.API}"),
        ("io(import.meta.env.VITE_API || 'http://a')", "{import.meta.env.VITE_API}||http://a"),
        ("const config = { url: 'http://a' }; io(config.url)", "http://a"),
        ("io(host)", "\0./host#host\0"),
        ("io(`${host}/chat`)", "\0./host#host\0/chat"),
        ("io(env.socket)", "\0@/env#default.socket\0"),
        ("let url = 'http://a'; io(url)", None),
        ("function f(url) { io(url) }", None),
        ("io(getUrl())", None),
        ("io(`http://${user.id}`)", None),
        ("const a = b, b = a; io(a)", None),
        ("".join(f"const a{n} = `{f'${{a{n + 1}}}' * 50}`;" for n in range(7)) + "const a7 = 'xx'; io(a0)", None),
    ],
)
def test_the_value_is_what_the_file_states(code: str, expected: str | None) -> None:
    assert value(code) == expected


FILES = {
    "src/host.ts": "export const host = process.env.HOST;",
    "src/env/index.ts": "export { api } from './api'; export default { socket: 'http://socket' };",
    "src/env/api.js": "const base = 'http://a'; const url = `${base}/v1`; export { url as api };",
    "src/loop.ts": "export { loop } from './loop';",
}


def lookup_in(files: Mapping[str, str]) -> dict[str, ModuleConstants]:
    return {path: module_constants(parse_source(path, code.encode())) for path, code in files.items()}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("io(host)", "{process.env.HOST}"),
        ("io(api)", "http://a/v1"),
        ("io(env.socket + '/x')", "http://socket/x"),
        ("import { loop } from './loop'; io(loop)", "{loop#loop}"),
        ("import { other } from 'package'; io(other)", "{package#other}"),
    ],
)
def test_references_are_followed_through_the_files_that_define_them(code: str, expected: str) -> None:
    constants, index, found = lookup_in(FILES), ModuleIndex(FILES), value(code)
    assert found is not None

    def lookup(file: str, module: str) -> ModuleConstants | None:
        path = index.find(file, module)
        return constants[path] if path is not None else None

    assert resolved(found, "src/a.ts", lookup) == expected


@pytest.mark.parametrize(
    ("module", "path"),
    [
        ("./b", "src/x/b.ts"),
        ("./b.js", "src/x/b.ts"),
        ("../lib", "src/lib/index.tsx"),
        ("@/lib", "src/lib/index.tsx"),
        ("src/x/b", "src/x/b.ts"),
        ("~/x/b", "src/x/b.ts"),
        ("b", None),
        ("react", None),
        ("./missing", None),
    ],
)
def test_a_module_is_one_file_or_none(module: str, path: str | None) -> None:
    index = ModuleIndex(["src/x/b.ts", "src/lib/index.tsx", "src/y/b.ts", "src/x/a.ts"])
    assert index.find("src/x/a.ts", module) == path
