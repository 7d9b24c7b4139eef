"""`wscheck docs`: the documentation of the installed version."""

import re
from pathlib import Path
from typing import Annotated

import typer


def docs(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Name of the document, for example logs. Without it, all are listed."),
    ] = None,
) -> None:
    """Print a document as Markdown, or list all documents.

    For example: `wscheck docs logs | less`, or the JSON schema `wscheck docs wscheck.logs-1`.
    """
    from wscheck.model.errors import UnknownName

    found = documents()
    if name is None:
        width = max(map(len, found))
        for each, file in found.items():
            typer.echo(f"{each:<{width}}  {_title(file)}")
        typer.echo(
            "\nTo read one: wscheck docs NAME. The source checkout also contains examples/, grafana/ and locustfiles/."
        )
        return
    path = found.get(name.removesuffix(".md").removesuffix(".json"))
    if path is None:
        raise UnknownName(f"There is no document `{name}`.", name, found, "List all: wscheck docs.")
    typer.echo(path.read_text(encoding="utf-8"), nl=False)


def documents() -> dict[str, Path]:
    """Return the documents by name, texts before schemas, from the wheel or the checkout."""
    package = Path(__file__).parents[1]
    candidates = (package / "docs", package.parent / "docs")
    folder = next(candidate for candidate in candidates if candidate.is_dir())
    return {path.stem: path for kind in ("*.md", "schemas/*.json") for path in sorted(folder.glob(kind))}


def sections(document: str) -> dict[str, str]:
    """Return the sections of a document whose headings are ids, by id."""
    text = documents()[document].read_text(encoding="utf-8")
    parts = re.split(r"^##+ (.+)$", text, flags=re.MULTILINE)[1:]
    found = zip(parts[::2], parts[1::2], strict=True)
    return {heading: body.strip() for heading, body in found if re.fullmatch("[a-z-]+", heading)}


def _title(path: Path) -> str:
    if path.suffix == ".json":
        return "a JSON schema"
    return path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
