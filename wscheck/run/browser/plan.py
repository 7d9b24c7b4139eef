"""From the configuration to what a browser is asked to show."""

from collections.abc import Sequence
from pathlib import Path

from wscheck.config.loading import Config
from wscheck.config.settings import redact_url
from wscheck.model.errors import UsageError
from wscheck.observe.browser import storage
from wscheck.observe.traffic import IdentityRule
from wscheck.run.browser.run import Browse

_SCHEMES = ("http://", "https://", "file://")


def plan(config: Config, urls: Sequence[str], visits: Sequence[str], command: Sequence[str]) -> Browse:
    """The run that `config` and the command line ask for. Raises UsageError."""
    for url in (*urls, *visits):
        if not url.startswith(_SCHEMES):
            problem = f"`{redact_url(url)}` is not the address of a page."
            raise UsageError(problem, "Write http://localhost:3000/, with its scheme.")
    program, cdp = config["browser.browser"], config["browser.cdp"]
    if program and cdp:
        raise UsageError("--browser launches one, --cdp watches one that runs.", "Give one of the two.")
    insecure = config.values["target.insecure"]
    if insecure.origin.startswith("--") and cdp:
        raise UsageError(
            "--insecure is for a browser that wscheck launches, and --cdp watches one that runs.",
            "Start that one with --ignore-certificate-errors.",
        )
    return Browse(
        urls=tuple(urls),
        visits=tuple(visits),
        for_s=config["browser.for"],
        program=Path(program) if program else None,
        cdp=cdp,
        insecure=insecure.value,
        command=tuple(command),
        storage=storage.load(Path(config["browser.storage_state"])) if config["browser.storage_state"] else None,
        steps=config.steps,
        identity=IdentityRule.parse(config["browser.identity"]),
        root=config["browser.source_root"] or "",
        options=config.judge_options,
        bar=config.bar,
    )
