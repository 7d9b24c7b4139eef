"""`wscheck rules` and `wscheck explain`: the meaning of each rule, cause, scenario, gap and error."""

from typing import Annotated

import typer

from wscheck.run import documentation

_HEADINGS = {
    documentation.RULE: "Rules (faults)",
    documentation.CAUSE: "Causes of faults",
    documentation.SCENARIO: "Scenarios (checks that verify runs)",
    documentation.GAP: "Gaps (evidence that was missing)",
    documentation.ERROR: "Errors",
}


def rules() -> None:
    """List every rule, cause, scenario, gap and error by its id."""
    from wscheck.detect.rules import RULE_DOCS as RULES

    known = list(documentation.explanations())
    for kind, heading in _HEADINGS.items():
        severities = {id: f"{rule.severity}: " for id, rule in RULES.items()} if kind == documentation.RULE else {}
        _section(heading, [(each.id, severities.get(each.id, "") + each.title) for each in known if each.kind == kind])
    typer.echo("More about one: wscheck explain ID")


def explain(id: Annotated[str, typer.Argument(metavar="ID", help="A rule, cause, scenario, gap or error.")]) -> None:
    """Explain a rule, cause, scenario, gap or error, and what to do about it."""
    for each in documentation.explain(id):
        is_from_document = each.kind in (documentation.GAP, documentation.ERROR)
        title = "a scenario" if each.kind == documentation.SCENARIO else each.title
        typer.secho(id if is_from_document else f"{id}: {title}", bold=True)
        for label, text in each.facts:
            heading = f"{label + ':':<14}" if not is_from_document else f"{label}: " if label else ""
            typer.echo(_wrapped(f"  {heading}", text))


def _section(title: str, rows: list[tuple[str, str]]) -> None:
    width = max(len(name) for name, _ in rows)
    typer.secho(title, bold=True)
    for name, text in rows:
        typer.echo(_wrapped(f"  {name:<{width}}  ", text))
    typer.echo()


def _wrapped(label: str, text: str) -> str:
    """Return `label` and `text`, wrapped to the width of the terminal.

    If stdout is not a terminal, return one long line, so that grep finds the whole text.
    """
    import shutil
    import sys
    import textwrap

    width = min(shutil.get_terminal_size().columns, 100) if sys.stdout.isatty() else 10_000
    return textwrap.fill(label + text, max(width, 40), subsequent_indent=" " * len(label), break_on_hyphens=False)
