"""The options that several commands share, so that they read the same everywhere."""

from typing import Annotated

import typer

Grace = Annotated[str | None, typer.Option(metavar="DURATION", help="Allowed overlap of two connections [250ms].")]
MaxAttempts = Annotated[str | None, typer.Option(metavar="N/DURATION", help="Allowed attempts [5/10s].")]
FailOn = Annotated[str | None, typer.Option(metavar="error|warning|note", help="What fails the run [error].")]
Strict = Annotated[bool | None, typer.Option("--strict", help="What could not be judged fails the run.")]
Formats = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FORMAT[=PATH]", help="terminal, json, ndjson, junit, github, sarif, html, markdown (repeatable)."
    ),
]
