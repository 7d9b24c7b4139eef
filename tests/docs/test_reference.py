"""docs/rules.md, causes.md, scenarios.md and configuration.md say what the code says, all of it and nothing else."""

import ast
import json
import re
from collections.abc import Callable
from inspect import getdoc
from pathlib import Path

import pytest
import typer

from tests.commands.test_flags import COMMANDS
from wscheck.cli import app
from wscheck.config.event_contract import DOCUMENTED_CONTRACT, ContractEvent
from wscheck.config.settings import NEXT_PUBLIC_VARIABLE, SETTINGS, Setting, parse_attempt_limit, parse_duration
from wscheck.detect.causes import CATALOGUE, FRAMEWORK_FIXES, CauseDoc
from wscheck.detect.rules import RULE_DOCS as RULES
from wscheck.detect.rules import RuleDoc
from wscheck.model.errors import ERROR_IDS
from wscheck.run.documentation import sections as document_sections
from wscheck.scenarios import SCENARIOS, Scenario

DOCS = Path(__file__).parents[2] / "docs"


def sections(document: str) -> dict[str, str]:
    """Each `## heading` of a document with its text, on one line."""
    parts = (DOCS / document).read_text(encoding="utf-8").split("\n## ")[1:]
    return {head: " ".join(body.split()) for head, _, body in (part.partition("\n") for part in parts)}


def plain(text: str) -> str:
    return " ".join(text.split())


def rows(document: str, heading: str) -> dict[str, list[str]]:
    """The cells of the table beneath `heading`, by the name in the first."""
    text = (DOCS / document).read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:3] == "| `"]
    return {name.strip("`"): rest for name, *rest in cells}


@pytest.mark.parametrize(
    ("document", "registry"), [("rules.md", RULES), ("causes.md", CATALOGUE), ("scenarios.md", SCENARIOS)]
)
def test_every_id_has_its_anchor_in_the_order_of_the_registry(document: str, registry: dict[str, object]) -> None:
    assert list(sections(document)) == list(registry)


def gap_ids() -> set[str]:
    """The ids of all gaps that the code creates."""
    calls = (
        node
        for path in (DOCS.parent / "wscheck").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("Gap", "NotTried")
    )
    ids = (keyword.value for call in calls for keyword in call.keywords if keyword.arg == "id")
    return {str(id.value) for id in ids if isinstance(id, ast.Constant)}


def test_every_gap_is_documented() -> None:
    assert set(document_sections("gaps")) == gap_ids()


def test_every_error_is_documented() -> None:
    assert set(document_sections("errors")) == ERROR_IDS


def test_every_page_of_the_site_is_in_its_navigation() -> None:
    navigation = (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    assert sorted(re.findall(r"(\S+\.md)$", navigation, re.MULTILINE)) == sorted(
        path.name for path in DOCS.glob("*.md")
    )


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_rules_are_documented_with_their_texts(rule: type[RuleDoc]) -> None:
    told = sections("rules.md")[rule.id]
    assert f"**{rule.title}** ({rule.severity})" in told
    for label, text in (("", rule.meaning), ("**Fix:** ", rule.fix), ("**Source:** ", rule.source)):
        assert label + plain(text) in told


@pytest.mark.parametrize("cause", CATALOGUE.values(), ids=CATALOGUE)
def test_causes_are_documented_with_their_texts(cause: CauseDoc) -> None:
    told = sections("causes.md")[cause.id]
    name = cause.name[0].upper() + cause.name[1:]
    assert f"**{name}**{' (benign)' if cause.benign else ''} -" in told
    assert f"**Shows as:** {plain(cause.shows)} - **Fix:** {plain(cause.fix)}" in told
    words = [
        f"**In {name.title()}:** {plain(fixes[cause.id])}"
        for name, fixes in FRAMEWORK_FIXES.items()
        if cause.id in fixes
    ]
    assert " - ".join((f"**Fix:** {plain(cause.fix)}", *words)) in told and told.count("**In ") == len(words)
    assert ("**Confirmed by:** " + plain(cause.settle_by) in told) if cause.settle_by else "Confirmed by" not in told


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_scenarios_are_documented_with_claim_rules_and_control(scenario: Scenario) -> None:
    told = sections("scenarios.md")[scenario.id]
    assert told.startswith(scenario.claim)
    assert f"**Rules:** {', '.join(f'`{rule.id}`' for rule in scenario.rules)} -" in told
    assert f"**Control:** {plain(getdoc(scenario.run_control) or 'none')}" in told


def flags(*commands: str) -> set[str]:
    known = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    return {option for name in commands or known for param in known[name].params for option in param.opts}


def written(setting: Setting) -> str:
    """Its default as one would write it in wscheck.toml; empty where it has none."""
    value = setting.default
    if value is None:
        return ""
    if setting.parse is parse_duration:
        return f'"{value * 1000:g}ms"' if value < 1 else f'"{value:g}s"'
    if setting.parse is parse_attempt_limit:
        return f'"{value[0]}/{value[1]:g}s"'
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def row(setting: Setting) -> str:
    cells = [
        setting.name.partition(".")[2],
        setting.flag if setting.flag in flags() | {"URL"} else "",
        "`, `".join(name for name in (setting.variable, setting.other_variable) if name),
        written(setting),
    ]
    return f"| {' | '.join(f'`{cell}`' if cell else '' for cell in cells)} | {setting.help} |"


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_settings_are_documented_with_flag_variable_default_and_meaning(setting: Setting) -> None:
    text = (DOCS / "configuration.md").read_text(encoding="utf-8")
    table = text.partition(f"\n## [{setting.name.partition('.')[0]}]\n")[2].partition("\n## ")[0]
    assert row(setting) in table.splitlines()


def test_no_unknown_setting_is_documented() -> None:
    tables = [head.strip("[]") for head in sections("configuration.md") if head.startswith("[")]
    told = {f"{table}.{key}" for table in tables for key in rows("configuration.md", f"[{table}]")}
    assert told == set(SETTINGS)
    assert (
        f"`{NEXT_PUBLIC_VARIABLE}` is the variable of the documented hook" in sections("configuration.md")["[target]"]
    )


UNSET = {"never", "recognised", "no wait", "all", "the first one found", "its root", None}
"""How help tells that nothing is set."""

POLLS_WHEN_TOLD = ("load", "--transports")
"""A load run has its own default."""


def usual(setting: Setting) -> str | None:
    if setting.name == "target.transports":
        return ",".join(setting.default)
    return None if isinstance(setting.default, bool | tuple) and not setting.default else written(setting).strip('"')


@pytest.mark.parametrize(("function", "tables"), COMMANDS.items(), ids=lambda each: getattr(each, "__name__", ""))
def test_help_shows_the_defaults(function: Callable[..., None], tables: tuple[str, ...]) -> None:
    command = function.__name__.replace("_", "-")
    settings = {setting.flag: setting for setting in SETTINGS.values() if setting.name.startswith(tables)}
    for parameter in typer.main.get_command(app).commands[command].params:  # type: ignore[attr-defined]
        flag = parameter.opts[0]
        if flag in settings and (command, flag) != POLLS_WHEN_TOLD:
            found = re.search(r"\[(.+?)\]", parameter.help)
            shown = found[1] if found else None
            assert shown == usual(settings[flag]) or (shown in UNSET and not settings[flag].default), flag


def test_every_flag_of_verify_is_documented() -> None:
    further = set(rows("configuration.md", "Further flags of verify"))
    assert further | {setting.flag for setting in SETTINGS.values()} >= flags("verify") - {"url"}
    assert further <= flags("verify")


def test_every_field_of_the_event_contract_is_documented() -> None:
    told = rows("configuration.md", "The event contract")
    assert set(told) == set(ContractEvent.__struct_fields__)
    for event in DOCUMENTED_CONTRACT.events:
        assert f"`{event.name}`" in sections("configuration.md")["The event contract"]


@pytest.mark.parametrize(
    ("command", "documents"),
    [
        ("browser", ["browser.md"]),
        ("har", ["browser.md"]),
        ("serve", ["reference-backend.md"]),
        ("compare", ["formats.md"]),
        ("init", ["configuration.md"]),
    ],
)
def test_every_flag_is_documented_with_its_command(command: str, documents: list[str]) -> None:
    text = "".join((DOCS / document).read_text(encoding="utf-8") for document in documents)
    named = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", text))
    assert {flag for flag in flags(command) if flag.startswith("--")} <= named


PAGES = [DOCS.parent / "README.md", *sorted(DOCS.glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_has_a_target(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for link, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([\w-]+))?\)", text):
        target = page.parent / link if link else page
        assert target.exists(), link
        if anchor:
            heads = re.findall("^#+ (.+)$", target.read_text(encoding="utf-8"), re.M)
            assert anchor in {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}, anchor


def test_every_document_is_linked_from_the_readme() -> None:
    readme = PAGES[0].read_text(encoding="utf-8")
    pages = [page.name for page in PAGES[1:] if page.name != "index.md"]  # the README is the start page of a checkout
    assert [name for name in pages if f"(docs/{name})" not in readme] == []
