"""docs/architecture.md is a map: every module and package of wscheck stands on it, and nothing that is not there."""

import re

from tests.docs.transcripts import ROOT

PACKAGE = ROOT / "wscheck"


def test_the_package_table_is_complete() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([\w./]+)`", row)}
    packages = {f"{path.name}/" for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    modules = {path.name for path in PACKAGE.iterdir() if path.suffix in (".py", ".toml")}
    assert named == packages | modules
