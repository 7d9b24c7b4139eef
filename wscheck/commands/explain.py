"""`wscheck rules` and `wscheck explain`: the meaning of each rule, cause, scenario, gap and error."""

import re
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from wscheck.detect.causes import CauseDoc


def rules() -> None:
    """List every rule, cause, scenario, gap and error by its id."""
    from wscheck.commands.docs import sections
    from wscheck.detect.causes import CATALOGUE
    from wscheck.detect.rules import RULE_DOCS as RULES
    from wscheck.scenarios import SCENARIOS

    _section("Rules (faults)", [(r.id, f"{r.severity}: {r.title}") for r in RULES.values()])
    _section("Causes of faults", [(c.id, _name(c)) for c in CATALOGUE.values()])
    _section("Scenarios (checks that verify runs)", [(s.id, s.claim) for s in SCENARIOS.values()])
    missing = [(id, _first_sentence(text)) for id, text in sections("gaps").items()]
    _section("Gaps (evidence that was missing)", missing)
    _section("Errors", [(id, _first_sentence(text)) for id, text in sections("errors").items()])
    typer.echo("More about one: wscheck explain ID")


def explain(id: Annotated[str, typer.Argument(metavar="ID", help="A rule, cause, scenario, gap or error.")]) -> None:
    """Explain a rule, cause, scenario, gap or error, and what to do about it."""
    from inspect import getdoc

    from wscheck.commands.docs import sections
    from wscheck.detect.causes import CATALOGUE, FRAMEWORK_FIXES
    from wscheck.detect.rules import RULE_DOCS as RULES
    from wscheck.model.errors import UnknownName
    from wscheck.scenarios import SCENARIOS

    described = {**sections("gaps"), **sections("errors")}
    known = [*RULES, *CATALOGUE, *SCENARIOS, *described]
    if id not in known:
        problem = f"There is no rule, cause, scenario, gap or error `{id}`."
        raise UnknownName(problem, id, known, "List them all: wscheck rules.")
    if text := described.get(id):
        _document_section(id, text)
    # One id can name a cause and the scenario that looks for it.
    if rule := RULES.get(id):
        told = {"Severity": rule.severity, "Means": rule.meaning, "Fix": rule.fix, "Source": rule.source}
        _page(f"{id}: {rule.title}", told)
    if cause := CATALOGUE.get(id):
        words = {f"In {name.title()}": fixes.get(id, "") for name, fixes in FRAMEWORK_FIXES.items()}
        told = {"Shows as": cause.shows, "Fix": cause.fix, **words, "Confirmed by": cause.settle_by}
        _page(f"{id}: {_name(cause)}", told)
    if scenario := SCENARIOS.get(id):
        judged = ", ".join(rule.id for rule in scenario.rules)
        doc = " ".join((type(scenario).__doc__ or "").split())
        control = " ".join((getdoc(scenario.run_control) or "").split())
        told = {"Must hold": scenario.claim, "Rules": judged, "Control": control, "Note": doc}
        _page(f"{id}: a scenario", told)


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=[.)])\s", " ".join(text.split()), maxsplit=1)[0].removesuffix(".")


def _document_section(id: str, text: str) -> None:
    """Print a section of a document: paragraphs, and list items that begin with a label in bold."""
    typer.secho(id, bold=True)
    plain = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", text)
    for paragraph in plain.split("\n\n"):
        label, colon, rest = " ".join(paragraph.split()).removeprefix("- **").partition(":** ")
        typer.echo(_wrapped(f"  {label}: " if colon else "  ", rest if colon else label))


def _name(cause: "CauseDoc") -> str:
    """Return the cause's name, marked if it is benign."""
    return f"{cause.name} (benign)" if cause.benign else cause.name


def _section(title: str, rows: list[tuple[str, str]]) -> None:
    width = max(len(name) for name, _ in rows)
    typer.secho(title, bold=True)
    for name, text in rows:
        typer.echo(_wrapped(f"  {name:<{width}}  ", text))
    typer.echo()


def _page(title: str, told: dict[str, str]) -> None:
    typer.secho(title, bold=True)
    for label, text in told.items():
        if text:
            typer.echo(_wrapped(f"  {label + ':':<14}", text))


def _wrapped(label: str, text: str) -> str:
    """Return one long line for files and grep, wrapped lines for a terminal."""
    import shutil
    import sys
    import textwrap

    width = min(shutil.get_terminal_size().columns, 100) if sys.stdout.isatty() else 10_000
    return textwrap.fill(label + text, max(width, 40), subsequent_indent=" " * len(label), break_on_hyphens=False)
