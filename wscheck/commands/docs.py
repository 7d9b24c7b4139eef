"""`wscheck docs`: the documents, from wherever wscheck is installed."""

from pathlib import Path
from typing import Annotated

import typer


def docs(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Which one, e.g. logs; without it they are listed.")
    ] = None,
) -> None:
    """Print a document, as Markdown; or list them all.

    `wscheck docs logs | less` reads one, `wscheck docs wscheck.logs-1` is a JSON schema.
    """
    from wscheck.model.errors import UnknownName

    found = documents()
    if name is None:
        width = max(map(len, found))
        for each, file in found.items():
            typer.echo(f"{each:<{width}}  {_title(file)}")
        typer.echo("\nOne of them: wscheck docs NAME. The sources hold examples/, grafana/ and locustfiles/.")
        return
    path = found.get(name.removesuffix(".md").removesuffix(".json"))
    if path is None:
        raise UnknownName(f"There is no document `{name}`.", name, found, "List them all: wscheck docs.")
    typer.echo(path.read_text(encoding="utf-8"), nl=False)


def documents() -> dict[str, Path]:
    """By name, first what is to be read, then schemas. A wheel carries them inside, a checkout beside the package."""
    package = Path(__file__).parents[1]
    places = (package / "docs", package.parent / "docs")
    inside = next(place for place in places if place.is_dir())
    return {path.stem: path for kind in ("*.md", "schemas/*.json") for path in sorted(inside.glob(kind))}


def _title(path: Path) -> str:
    if path.suffix == ".json":
        return "a JSON schema"
    return path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
