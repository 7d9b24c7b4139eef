"""`wscheck init`: a commented wscheck.toml to start from."""

from pathlib import Path
from typing import Annotated

import typer


def init(
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
    observe: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Connect to this server, and write the events that it sends into the file."),
    ] = None,
) -> None:
    """Write a commented wscheck.toml into the working folder.

    It lists every setting with its default, and the event contract. With --observe, connect with the credentials of the
    environment (WSCHECK_USER_ID, WSCHECK_TOKEN) and write the contract that the server shows: what it sends
    unrequested, and its answers to requests such as request_bot_status.
    """
    from importlib.resources import files

    from wscheck.config.loading import CONFIG_FILE
    from wscheck.model.errors import UsageError

    path = Path(CONFIG_FILE)
    if path.exists() and not force:
        raise UsageError(f"{CONFIG_FILE} exists already.", "Edit it, or overwrite it with wscheck init --force.")
    text = files("wscheck.config").joinpath("starter.toml").read_text(encoding="utf-8")
    if observe is not None:
        text, summary = _with_observed_contract(text, observe)
    else:
        summary = "List your events in it, then run: wscheck verify http://localhost:8000"
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{CONFIG_FILE} cannot be written: {error.strerror}.", "Run the command in another folder."
        ) from None
    typer.echo(f"Wrote {CONFIG_FILE}. {summary}")


def _with_observed_contract(starter: str, url: str) -> tuple[str, str]:
    """Return the text for wscheck.toml, and a message for the user with the number of events and the next command.

    The text is `starter` with an event contract that contains the events which the server at `url` sent.

    Raises:
        CannotCheck: The server is unreachable, refuses the credentials, or sends no event.
    """
    import asyncio

    from wscheck.config.event_contract import contract_toml
    from wscheck.config.loading import load_config
    from wscheck.config.target import Credentials, configured_target
    from wscheck.model.errors import CannotCheck
    from wscheck.observe.client.preflight import observe_contract

    config = load_config({"target.url": url})
    user = Credentials(config["identity.user_id"], config["identity.token"])
    events = asyncio.run(observe_contract(configured_target(config), user, config.redactor))
    if not events:
        raise CannotCheck(
            f"The server sent no event to {user.user}, neither unrequested nor on a documented request.",
            "Write your events into wscheck.toml (`wscheck init`), each with the event that a client emits for it.",
        )
    settings = starter.partition("[[event]]")[0]
    settings = settings[: settings.rindex("\n# These four are the default")] + "\n# Observed at the server.\n\n"
    verb = "event" if len(events) == 1 else "events"
    return settings + contract_toml(events), f"It contains {len(events)} {verb}. Next: wscheck verify {url}"
