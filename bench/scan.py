"""Time and memory of `wscheck scan` on 10,000 files, compared with eslint and its rules for React's hooks.

Every twentieth file opens a connection. eslint runs if BENCH_ESLINT names a folder in which eslint,
eslint-plugin-react-hooks and @babel/eslint-parser with @babel/preset-react are installed. The runs alternate.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FILES = int(os.environ.get("BENCH_FILES", "10000"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
LIMIT_S = 10.0

PLAIN = """import {{ useState, useEffect }} from "react";
import {{ format }} from "./format{number}";

export function Panel{number}({{ rows, title }}) {{
  const [open, setOpen] = useState(false);
  useEffect(() => {{ document.title = format(title); }}, [title]);
  const shown = rows.filter((row) => row.visible).map((row) => ({{ ...row, label: format(row.label) }}));
  return (
    <section className="panel">
      <h2 onClick={{() => setOpen(!open)}}>{{title}}</h2>
      {{open && shown.map((row) => <p key={{row.id}}>{{row.label}}</p>)}}
    </section>
  );
}}
"""
OPENING = """import {{ useEffect, useState }} from "react";
import {{ io }} from "socket.io-client";
import {{ url{number} }} from "./session";

export function useFeed{number}(onNews) {{
  const [rows, setRows] = useState([]);
  useEffect(() => {{
    const socket = io(url{number}, {{ transports: ["websocket"] }});
    socket.on("news", (row) => setRows((old) => [...old, row]));
    return () => socket.disconnect();
  }}, [onNews]);
  return rows;
}}
"""
ESLINT_CONFIG = """const hooks = require("eslint-plugin-react-hooks");
const parser = require("@babel/eslint-parser");
const parserOptions = { requireConfigFile: false, babelOptions: { presets: ["@babel/preset-react"] } };
module.exports = [{ files: ["**/*.jsx"], languageOptions: { parser, parserOptions }, plugins: { "react-hooks": hooks },
  rules: { "react-hooks/rules-of-hooks": "error", "react-hooks/exhaustive-deps": "warn" } }];
"""


def run() -> None:
    """Write the files, scan them, and print the table."""
    with tempfile.TemporaryDirectory(prefix="wscheck-bench-") as folder:
        root = Path(folder)
        for number in range(FILES):
            path = root / "src" / f"part{number // 200}" / f"Panel{number}.jsx"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text((PLAIN if number % 20 else OPENING).format(number=number), encoding="utf-8")
        commands = {"wscheck scan": [sys.executable, "-m", "wscheck", "scan", str(root / "src")]}
        if eslint := os.environ.get("BENCH_ESLINT"):
            (Path(eslint) / "eslint.config.js").write_text(ESLINT_CONFIG, encoding="utf-8")
            (root / "node_modules").symlink_to(Path(eslint, "node_modules").absolute())
            (root / "eslint.config.js").write_text(ESLINT_CONFIG, encoding="utf-8")
            commands["eslint, rules for hooks"] = [
                "node",
                str(Path(eslint, "node_modules/eslint/bin/eslint.js")),
                "src",
            ]
        measured: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(ROUNDS):
            for name, command in commands.items():
                measured[name].append(_cost(command, root))
    ours = statistics.median(seconds for seconds, _ in measured["wscheck scan"])
    print(f"{FILES:,} files{'':<14} {'s':>8} {'MB':>8} {'ratio':>8}   (limit of wscheck: {LIMIT_S:.0f} s)")
    for name, costs in measured.items():
        seconds, memory = (statistics.median(column) for column in zip(*costs, strict=True))
        print(f"{name:<26} {seconds:>8.1f} {memory:>8.0f} {seconds / ours:>8.2f}")
    if "BENCH_ESLINT" not in os.environ:
        print("eslint was not measured: BENCH_ESLINT is not set")


def _cost(command: list[str], root: Path) -> tuple[float, float]:
    """Return the seconds of one run and its largest resident memory in MB."""
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return time.perf_counter() - started, usage.ru_maxrss / (1024 if sys.platform == "linux" else 1 << 20)
