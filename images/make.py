"""Script that makes the pictures of the README: the HTML report, and a recording of the terminal.

    make packages                  # or: npm ci && npm run build, in examples/bot-dashboard
    .venv/bin/python images/make.py

It watches the page of the example with the fault, served from its production build, and needs Node and Chromium.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from io import StringIO
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
DASHBOARD = HERE.parent / "examples" / "bot-dashboard"
PORT = "8000"
COMMAND = ("wscheck", "browser", f"http://127.0.0.1:{PORT}/broken.html", "--for", "2s")

COLUMNS = 100
SIZE = (900, 760)
"""Width and height of the picture of the report, in pixels."""


IDLE_LIMIT_S = 3.0
"""Longest time in which nothing happens in the recording; a real run on a busy machine takes longer."""


def main() -> None:
    """Make report.png and terminal.svg."""
    wscheck, chromium = Path(sys.executable).with_name("wscheck"), shutil.which("chromium") or "google-chrome"
    server = subprocess.Popen(
        ["node", DASHBOARD / "backend" / "server.mjs", "--static", DASHBOARD / "dist" / "prod", "--port", PORT],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    with server, tempfile.TemporaryDirectory() as folder:
        try:
            assert server.stderr is not None
            server.stderr.readline()  # it says that it listens
            html = Path(folder) / "report.html"
            begin = time.monotonic()
            ran = subprocess.run(
                [wscheck, *COMMAND[1:], "--format", "terminal", "--format", f"html={html}"],
                env={**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(COLUMNS)},
                stdout=subprocess.PIPE,
                text=True,
                timeout=120,
                check=False,
            )
            took = time.monotonic() - begin
            (HERE / "terminal.svg").write_text(recording(ran.stdout, min(took, IDLE_LIMIT_S)), encoding="utf-8")
            take_picture(chromium, html, HERE / "report.png")
        finally:
            server.terminate()


def take_picture(chromium: str, page: Path, picture: Path) -> None:
    """Write the upper part of a page as a picture."""
    options = ("--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={SIZE[0]},{SIZE[1]}")
    subprocess.run([chromium, *options, f"--screenshot={picture}", page.as_uri()], timeout=120, check=True)


def recording(output: str, wait: float) -> str:
    """Return an SVG of the command, in which its output appears after `wait` seconds."""
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True)
    console.print(Text.assemble(("$ ", "dim"), (" ".join(COMMAND), "bold")))
    console.print(Text.from_ansi(output))
    # Viewers of pictures load no font from elsewhere.
    template = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    svg = console.export_svg(title="wscheck", code_format=template, unique_id="wscheck")
    rules = f"""@media (prefers-reduced-motion: no-preference) {{
        @keyframes appear {{ from {{ visibility: hidden }} }}
        .wscheck-matrix text:not([clip-path$='line-0)']) {{ animation: appear {wait:.1f}s step-end backwards }}
    }}
    """
    return svg.replace("</style>", f"{rules}</style>", 1)


if __name__ == "__main__":
    main()
