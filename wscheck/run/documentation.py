"""The documentation of the installed version: its documents, and what it says about each id in a report."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from wscheck.detect.causes import CauseDoc

RULE, CAUSE, SCENARIO, GAP, ERROR = "rule", "cause", "scenario", "gap", "error"
"""Kinds of ids."""


class IdText(NamedTuple):
    """Explanation of an id. An id with two kinds, such as "cause" and "scenario", has an explanation for each.

    title  title or first sentence, for lists
    facts  (label, text) pairs; a text without a label is a paragraph
    """

    id: str
    kind: str
    title: str
    facts: tuple[tuple[str, str], ...]


def documents() -> dict[str, Path]:
    """Return a dict of name to path for the documents of the package: first the texts, then the JSON schemas."""
    package = Path(__file__).parents[1]
    candidates = (package / "docs", package.parent / "docs")
    folder = next(candidate for candidate in candidates if candidate.is_dir())
    return {path.stem: path for kind in ("*.md", "schemas/*.json") for path in sorted(folder.glob(kind))}


def sections(document: str) -> dict[str, str]:
    """Return a dict of id to text, for those sections of a document that have an id as heading."""
    text = documents()[document].read_text(encoding="utf-8")
    parts = re.split(r"^##+ (.+)$", text, flags=re.MULTILINE)[1:]
    found = zip(parts[::2], parts[1::2], strict=True)
    return {heading: body.strip() for heading, body in found if re.fullmatch("[a-z-]+", heading)}


def explain(id: str) -> list[IdText]:
    """Return the explanations of an id. One id can name a cause and the scenario that looks for it.

    Raises:
        UnknownName: There is no such id.
    """
    from wscheck.model.errors import UnknownName

    known = list(explanations())
    found = [each for each in known if each.id == id]
    if not found:
        problem = f"There is no rule, cause, scenario, gap or error `{id}`."
        raise UnknownName(problem, id, [each.id for each in known], "List them all: wscheck rules.")
    return found


def explanations() -> Iterator[IdText]:
    """Yield the explanation of every rule, cause, scenario, gap and error, in this order."""
    from inspect import getdoc

    from wscheck.detect.causes import CATALOGUE, FRAMEWORK_FIXES
    from wscheck.detect.rules import RULE_DOCS
    from wscheck.scenarios import SCENARIOS

    for rule in RULE_DOCS.values():
        told = {"Severity": rule.severity, "Means": rule.meaning, "Fix": rule.fix, "Source": rule.source}
        yield IdText(rule.id, RULE, rule.title, _known(told))
    for cause in CATALOGUE.values():
        words = {f"In {name.title()}": fixes.get(cause.id, "") for name, fixes in FRAMEWORK_FIXES.items()}
        told = {"Shows as": cause.shows, "Fix": cause.fix, **words, "Confirmed by": cause.settle_by}
        yield IdText(cause.id, CAUSE, _name(cause), _known(told))
    for scenario in SCENARIOS.values():
        judged = ", ".join(rule.id for rule in scenario.rules)
        doc = " ".join((type(scenario).__doc__ or "").split())
        control = " ".join((getdoc(scenario.run_control) or "").split())
        told = {"Must hold": scenario.claim, "Rules": judged, "Control": control, "Note": doc}
        yield IdText(scenario.id, SCENARIO, scenario.claim, _known(told))
    for kind, document in ((GAP, "gaps"), (ERROR, "errors")):
        for id, text in sections(document).items():
            yield IdText(id, kind, _first_sentence(text), tuple(_paragraphs(text)))


def _known(told: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((label, str(text)) for label, text in told.items() if text)


def _name(cause: "CauseDoc") -> str:
    """Return the name of a cause, followed by "(benign)" if it is normal and needs no fix."""
    return f"{cause.name} (benign)" if cause.benign else cause.name


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=[.)])\s", " ".join(text.split()), maxsplit=1)[0].removesuffix(".")


def _paragraphs(text: str) -> Iterator[tuple[str, str]]:
    """Yield (label, text) for each paragraph. The label is the bold text at the start of a list item, or ""."""
    plain = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", text)
    for paragraph in plain.split("\n\n"):
        label, colon, rest = " ".join(paragraph.split()).removeprefix("- **").partition(":** ")
        yield (label, rest) if colon else ("", label)
