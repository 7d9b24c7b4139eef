"""Other tools on the same inputs: linters on the source code, and a search for memory leaks on the served page.

A linter has found the fault if a message names a connection, a subscription, a listener or a missing cleanup. An
application whose package has no source code is not an input of a linter. A search for leaks follows the links of a page
and has found the fault if it reports a leak.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from corpus.entries import Case
from corpus.installing import CACHE
from corpus.serving import run_limited
from wscheck.observe.browser import launch

PACKAGES = [
    "eslint@9.39.5",
    "@typescript-eslint/parser@8.74.0",
    "typescript@5.9.3",
    "eslint-plugin-react-hooks@7.1.1",
    "eslint-plugin-react-web-api@2.13.0",
    "react-doctor@0.9.23",
    "fuite@5.0.9",
]
LINTERS = ["eslint-plugin-react-hooks", "eslint-plugin-react-web-api", "react-doctor"]
_ABOUT = re.compile(r"websocket|socket|eventsource|connection|subscri|listener|clean-?up|leak", re.IGNORECASE)
_CODE = {".js", ".mjs", ".jsx", ".ts", ".tsx"}
_LIMIT_S = 180
_CONFIG = """import parser from "@typescript-eslint/parser";
import plugin from "PLUGIN";
const recommended = plugin.configs.recommended ?? plugin.configs.flat.recommended;
const names = Object.keys(recommended.rules).map((rule) => rule.split("/").at(-1));
const rules = Object.fromEntries(names.map((rule) => [`tested/${rule}`, "error"]));
const languageOptions = { parser, parserOptions: { ecmaFeatures: { jsx: true } } };
export default [{ files: ["**/*.{js,mjs,jsx,ts,tsx}"], languageOptions, plugins: { tested: plugin }, rules }];
"""


def install_tools() -> Path:
    """Install the tools into the cache unless they are there, and return their folder."""
    folder = CACHE / "tools"
    stamp = folder / ".installed"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == "\n".join(PACKAGES):
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "package.json").write_text('{"private": true}\n', encoding="utf-8")
    options = ["--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--legacy-peer-deps"]
    environment = {**os.environ, "PUPPETEER_SKIP_DOWNLOAD": "1"}
    subprocess.run(["npm", "install", *options, *PACKAGES], cwd=folder, env=environment, check=True, timeout=600)
    stamp.write_text("\n".join(PACKAGES), encoding="utf-8")
    return folder


def lint(case: Case, folder: Path) -> dict[str, dict[str, Any]]:
    """Run each linter on the source code of a case, and return the result of each; empty without source code."""
    sources = sources_of(case, folder)
    if not sources:
        return {}
    tools = install_tools()
    results = {}
    with tempfile.TemporaryDirectory(prefix="wscheck-corpus-", ignore_cleanup_errors=True) as name:
        work = Path(name)
        (work / "src").mkdir()
        for number, path in enumerate(sources):
            shutil.copy(path, work / "src" / f"{number}-{path.name}")
        (work / "node_modules").symlink_to(tools / "node_modules")
        (work / "package.json").write_text('{"name": "case", "dependencies": {"react": "18.2.0"}}', encoding="utf-8")
        for tool in LINTERS:
            (work / "eslint.config.mjs").write_text(_CONFIG.replace("PLUGIN", tool), encoding="utf-8")
            command = ["node_modules/.bin/eslint", "--format", "json", "src"]
            if tool == "react-doctor":
                (work / "eslint.config.mjs").unlink()
                command = ["node_modules/.bin/react-doctor", ".", "--json", "-y", "--no-score", "--no-supply-chain"]
            text, seconds = _run(command, work)
            results[tool] = _result(case, messages_of(text), seconds)
    return results


def sources_of(case: Case, folder: Path) -> list[Path]:
    """Return the files of source code of a case: those of its page, and those that a scan reads; no tests."""
    roots = [folder / "page"] if case.entry.serve.page else []
    roots += [folder / case.entry.visit.scan] if case.entry.visit.scan else []
    files = [path for root in roots for path in ([root] if root.is_file() else sorted(root.rglob("*")))]
    return [p for p in files if p.suffix in _CODE and not re.search(r"^out\.js$|\.test\.|\.d\.", p.name)]


def messages_of(text: str) -> list[str]:
    """Return the messages of eslint's or react-doctor's JSON, or nothing if there is none."""
    with suppress(ValueError):
        said = json.loads(text[min(filter(lambda at: at >= 0, (text.find("{"), text.find("["))), default=0) :])
        if isinstance(said, list):
            return [f"{m.get('ruleId')}: {m['message'].splitlines()[0]}" for file in said for m in file["messages"]]
        return [
            f"{found['rule']}: {found['message']}"
            for project in said.get("projects", [])
            for found in project.get("diagnostics", [])
        ]
    return []


def _result(case: Case, messages: list[str], seconds: float) -> dict[str, Any]:
    """Return what a linter was right about."""
    about = [message for message in messages if _ABOUT.search(message)]
    result = ("found" if about else "missed") if case.is_faulty else ("false alarm" if about else "passed")
    return {
        "result": result,
        "seconds": seconds,
        "details": "; ".join(about)[:300] or f"{len(messages)} other messages",
    }


def search_leaks(case: Case, origin: str) -> dict[str, Any]:
    """Run fuite on a page that is being served, with three rounds, and return what it was right about."""
    tools = install_tools()
    with tempfile.TemporaryDirectory(prefix="wscheck-corpus-", ignore_cleanup_errors=True) as name:
        report = Path(name) / "fuite.json"
        command = [str(tools / "node_modules/.bin/fuite"), origin + case.entry.visit.path, "-i", "3", "-o", str(report)]
        text, seconds = _run([*command, "--browser-arg=--no-sandbox"], Path(name))
        leaks = None
        if report.exists():
            tests = json.loads(report.read_text(encoding="utf-8"))
            leaks = any((test.get("result") or {}).get("leaks", {}).get("detected") for test in tests)
    if leaks is None:
        return {"result": "error", "seconds": seconds, "details": text.strip()[-200:]}
    if not tests:
        return {"result": "not run", "seconds": seconds, "details": "the page has no links to follow"}
    result = ("found" if leaks else "missed") if case.is_faulty else ("false alarm" if leaks else "passed")
    return {"result": result, "seconds": seconds, "details": f"{len(tests)} links followed"}


def _run(command: list[str], work: Path) -> tuple[str, float]:
    """Run a tool, and return its output and its seconds."""
    browser = {"PUPPETEER_EXECUTABLE_PATH": str(launch.find_browser(None))}
    ended = run_limited(command, work, _LIMIT_S, browser, stderr=subprocess.DEVNULL)
    return ended.text, ended.seconds
