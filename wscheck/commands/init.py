"""`wscheck init`: a commented wscheck.toml to start from."""

from pathlib import Path
from typing import Annotated

import typer


def init(
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Write a commented wscheck.toml into the working folder.

    It lists every setting with its default, and the event contract.
    """
    from importlib.resources import files

    from wscheck.config.loading import CONFIG_FILE
    from wscheck.model.errors import UsageError

    path = Path(CONFIG_FILE)
    if path.exists() and not force:
        raise UsageError(f"{CONFIG_FILE} exists already.", "Edit it, or overwrite it with wscheck init --force.")
    try:
        path.write_text(files("wscheck.config").joinpath("starter.toml").read_text(encoding="utf-8"), encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{CONFIG_FILE} cannot be written: {error.strerror}.", "Run the command in another folder."
        ) from None
    typer.echo(f"Wrote {CONFIG_FILE}. List your events in it, then run: wscheck verify http://localhost:8000")
