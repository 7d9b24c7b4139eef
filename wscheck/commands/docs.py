"""`wscheck docs`: the documentation of the installed version."""

from pathlib import Path
from typing import Annotated

import typer

from wscheck.run.documentation import documents


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


def _title(path: Path) -> str:
    if path.suffix == ".json":
        return "a JSON schema"
    return path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
