"""Where a value comes from, and what becomes of a configuration that cannot be read: the place, and what to do."""

import time
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from tests.counted_calls import counted_calls
from wscheck.config.event_contract import DOCUMENTED_CONTRACT
from wscheck.config.loading import DEFAULT_ORIGIN, Config, _key_lines, _warn_once, load_config
from wscheck.config.settings import NEXT_PUBLIC_VARIABLE, SETTINGS
from wscheck.model.errors import UsageError
from wscheck.model.secrets import Secret
from wscheck.observe.logs.options import reader_factory


def configured(
    directory: Path,
    *,
    toml: str = "",
    pyproject: str = "",
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Config:
    if toml:
        (directory / "wscheck.toml").write_text(toml)
    if pyproject:
        (directory / "pyproject.toml").write_text(pyproject)
    return load_config(flags or {}, directory=directory, environ=environ or {})


def refused(
    directory: Path,
    toml: str | bytes,
    *,
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
) -> UsageError:
    if toml:
        (directory / "wscheck.toml").write_bytes(toml if isinstance(toml, bytes) else toml.encode())
    with pytest.raises(UsageError) as caught:
        load_config(flags or {}, directory=directory, environ=environ or {})
    return caught.value


# --- precedence ---------------------------------------------------------------------------------------------

PLACES: dict[str, dict[str, Any]] = {
    "flags": {"flags": {"verify.window": "1s"}},
    "environ": {"environ": {"WSCHECK_WINDOW": "2500ms"}},
    "toml": {"toml": "[verify]\nwindow = 3\n"},
    "pyproject": {"pyproject": '[tool.wscheck.verify]\nwindow = "4s"\n'},
}
WINNERS = [
    (1.0, "`verify.window`"),
    (2.5, "WSCHECK_WINDOW"),
    (3.0, "wscheck.toml:2"),
    (4.0, "pyproject.toml:2"),
    (2.0, "default"),
]


@pytest.mark.parametrize("taken", range(5), ids=["flag", "variable", "wscheck.toml", "pyproject.toml", "default"])
def test_precedence_of_the_origins(tmp_path: Path, taken: int) -> None:
    said = {key: value for place in list(PLACES.values())[taken:] for key, value in place.items()}
    value = configured(tmp_path, **said).values["verify.window"]
    assert (value.value, value.origin) == WINNERS[taken]


def test_a_variable_without_its_underscore_is_rejected(tmp_path: Path) -> None:
    refusal = refused(tmp_path, "", environ={"WSCHECK_USERID": "ada"})
    assert refusal.problem == "The variable WSCHECK_USERID is unknown."
    assert refusal.next_step == "Rename it to WSCHECK_USER_ID, or unset it."
    others = {"WSCHECK_USER_ID": "ada", "WSCHECK_OF_SOMEBODY_ELSE": "1", "USERID": "1"}
    assert configured(tmp_path, environ=others)["identity.user_id"] == "ada"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("WSCHECK_FAIL_NO", "WSCHECK_FAIL_ON"),
        ("WSCHECK_USER", "WSCHECK_USERS or WSCHECK_USER_IN or WSCHECK_USER_ID"),
        ("WSCHECK_TARGET_URL", "WSCHECK_URL"),
        ("WSCHECK_LOAD_TAB", "WSCHECK_LOAD_TABS"),
    ],
)
def test_a_misspelt_variable_is_reported_once_without_its_value(
    name: str, meant: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _warn_once.cache_clear()
    configured(tmp_path, environ={name: "secret"}), configured(tmp_path, environ={name: "secret"})
    told = capsys.readouterr().err
    assert told == f"wscheck: The variable {name} is unknown and ignored. Did you mean {meant}?\n"


def test_known_variables_and_those_of_other_programs_are_not_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = ("WSCHECK_LOAD_TABS", "WSCHECK_LOAD_PROFILE", "WSCHECK_LOAD_STREAM", "WSCHECK_CDP_URL", "WSCHECK_DEBUG")
    configured(tmp_path, environ=dict.fromkeys((*ours, "WSCHECK_VERSION", "WSCHECK_IMAGE", "MY_WSCHECK_FAIL_NO"), "1"))
    assert capsys.readouterr().err == ""


def test_a_namespace_gets_its_leading_slash(tmp_path: Path) -> None:
    assert configured(tmp_path, flags={"target.namespace": "admin"})["target.namespace"] == "/admin"
    refusal = refused(tmp_path, "", flags={"target.namespace": "/a,b"})
    assert refusal.problem == "`target.namespace`: '/a,b' is not a namespace: write /admin."


def test_wscheck_toml_replaces_the_table_of_pyproject(tmp_path: Path) -> None:
    config = configured(tmp_path, toml='[rules]\ngrace = "1s"\n', pyproject='[tool.wscheck.verify]\nwindow = "4s"\n')
    assert (config["rules.grace"], config["verify.window"]) == (1.0, 2.0)


def test_the_variable_of_the_documented_hook_has_the_lowest_precedence(tmp_path: Path) -> None:
    environ = {NEXT_PUBLIC_VARIABLE: "ws://localhost:8000"}
    value = configured(tmp_path, environ=environ).values["target.url"]
    assert (value.value, value.origin) == ("ws://localhost:8000", NEXT_PUBLIC_VARIABLE)
    assert configured(tmp_path, toml='[target]\nurl = "http://a:1"\n', environ=environ)["target.url"] == "http://a:1"


def test_an_empty_variable_and_an_empty_flag_list_count_as_not_set(tmp_path: Path) -> None:
    config = configured(tmp_path, environ={"WSCHECK_WINDOW": ""}, flags={"verify.server_log": []})
    assert (config["verify.window"], config["verify.server_log"]) == (2.0, ())
    assert config.values["verify.server_log"].origin == DEFAULT_ORIGIN


@pytest.mark.parametrize(
    ("name", "raw", "value"),
    [
        ("verify.window", "300ms", 0.3),
        ("verify.window", "1m", 60.0),
        ("verify.window", "1.5", 1.5),
        ("verify.window", "2 h", 7200.0),
        ("verify.strict", "yes", True),
        ("verify.strict", "0", False),
        ("verify.server_log", "a.log, b.log", ("a.log", "b.log")),
        ("target.transports", "websocket", ("websocket",)),
        ("rules.max_attempts", "3/500ms", (3, 0.5)),
        ("identity.user_in", "header.X-User", "header.X-User"),
        ("identity.token", " secret ", Secret("secret")),
        ("browser.source_root", "./web/app/", "web/app"),
        ("browser.source_root", ".", ""),
    ],
)
def test_values_are_parsed(tmp_path: Path, name: str, raw: str, value: object) -> None:
    assert configured(tmp_path, environ={SETTINGS[name].variable: raw})[name] == value


# --- what cannot be read ------------------------------------------------------------------------------------


INVALID_FILES: list[tuple[str | bytes, str, str]] = [
    ("[target]\nurl = http://x\n", "wscheck.toml:2 is not valid TOML", "wscheck init"),
    ("a=" + "[" * 5000, "wscheck.toml is not valid TOML: its values are nested too deeply", "Correct it"),
    ("a\n", "wscheck.toml:1 is not valid TOML", "Correct that line"),
    (b"[target]\nurl = '\xff'\n", "wscheck.toml:2 is not UTF-8 text", "Save the file as UTF-8"),
    ("[tarqet]\n", "wscheck.toml:1: unknown key `tarqet`", "Did you mean `target`?"),
    ("[target]\n\n[verify]\nurl = 1\n", "wscheck.toml:4: unknown key `url`", "Known names here: client, "),
    ("[verify]\nwindw = 1\n", "wscheck.toml:2: unknown key `windw`", "Did you mean `window`?"),
    ("verify.windw = 1\n", "wscheck.toml:1: unknown key `windw`", "Did you mean `window`?"),
    ("# verify\nverify = 3\n", "wscheck.toml:2: `verify` must be a table", "Write [verify]"),
    (
        "[verify]\nwindow = 'soon'\n",
        "wscheck.toml:2: 'soon' is not a duration",
        "verify.window: time to watch",
    ),
    ("[verify]\nwindow = true\n", "wscheck.toml:2: True is not a duration", "verify.window: time to watch"),
    ("[verify]\nserver_log = 3\n", "wscheck.toml:2: 3 is not a list", "Correct it. "),
    ("[verify]\nstrict = 'maybe'\n", "wscheck.toml:2: 'maybe' is neither true nor false", "Correct it. "),
    ("[verify]\nclient = 'both'\n", "'both' is not one of unified, per-component", "Correct it. "),
    ("[target]\ntransports = ['smoke']\n", "wscheck.toml:2: ['smoke'] does not name transports", "Correct it. "),
    ("[target]\nurl = 'localhost'\n", "'localhost' is not a URL: write http://localhost.", "Correct it. "),
    ("[rules]\nmax_attempts = 5\n", "wscheck.toml:2: 5 is not a limit: write 5/10s", "Correct it. "),
    ("[identity]\nuser_in = 'body.id'\n", "'body.id' is not a location of a credential", "Correct it. "),
    ("[logs.markers]\n[logs]\nkyes = 1\n", "wscheck.toml:3: unknown key `kyes`", "Did you mean `keys`?"),
    ("[browser]\n\nstpe = 1\n", "wscheck.toml:3: unknown key `stpe`", "Did you mean `step`?"),
    ("[browser]\nsource_root = '../web'\n", "'../web' is not a folder of the checkout", "Correct it. "),
    ("[identity]\nuser_id = ''\n", "wscheck.toml:2: '' is not text", "Correct it. "),
    ("[identity]\n\ntoken = 'abc'\n", "wscheck.toml:3: identity.token is a secret", "Set WSCHECK_TOKEN instead"),
]


@pytest.mark.parametrize(("toml", "problem", "next_step"), INVALID_FILES)
def test_an_error_in_the_file_is_reported_with_its_line(
    tmp_path: Path, toml: str | bytes, problem: str, next_step: str
) -> None:
    error = refused(tmp_path, toml)
    assert problem in error.problem
    assert next_step in error.next_step
    assert error.exit_code == 2


def test_the_line_belongs_to_the_key_even_if_its_name_occurs_elsewhere(tmp_path: Path) -> None:
    toml = '[verify]\n# window\nwindow = "2s"\n[target]\n"path" = "/x"\ntimeout = "never"\n'
    assert refused(tmp_path, toml).problem.startswith("wscheck.toml:6: 'never'")


def test_the_line_is_found_in_pyproject(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n\n[tool.wscheck.verify]\nwindw = 1\n')
    assert refused(tmp_path, "").problem == "pyproject.toml:5: unknown key `windw`."


def test_a_pyproject_without_our_table_is_ignored(tmp_path: Path) -> None:
    assert configured(tmp_path, pyproject='[project]\nname = "x"\n')["verify.window"] == 2.0


def test_an_error_names_the_setting_or_variable(tmp_path: Path) -> None:
    assert refused(tmp_path, "", flags={"verify.window": "soon"}).problem.startswith("`verify.window`: 'soon'")
    assert refused(tmp_path, "", environ={"WSCHECK_WINDOW": "x"}).problem.startswith("WSCHECK_WINDOW: 'x'")


def test_no_error_shows_the_credentials_of_a_url(tmp_path: Path) -> None:
    error = refused(tmp_path, "", environ={"WSCHECK_URL": "htp://me:hunter2@host/app?token=hunter2"})
    assert "hunter2" not in str(error)
    assert "htp://host/app?(hidden)" in error.problem


@pytest.mark.parametrize("address", ["http://host:99999", "http://host:0", "http://host:port"])
def test_an_invalid_port_is_rejected(tmp_path: Path, address: str) -> None:
    assert "is not a URL" in refused(tmp_path, "", environ={"WSCHECK_URL": address}).problem


@pytest.mark.parametrize("written", ["admin", "/admin"])
def test_a_namespace_from_the_environment_gets_its_slash(tmp_path: Path, written: str) -> None:
    assert configured(tmp_path, environ={"WSCHECK_NAMESPACE": written})["target.namespace"] == "/admin"


def test_a_truncated_file_is_reported_with_its_last_line(tmp_path: Path) -> None:
    assert refused(tmp_path, '[target]\n\nurl = "http').problem.startswith("wscheck.toml:3 is not valid TOML")


# --- the event contract -------------------------------------------------------------------------------------


def test_without_events_the_documented_contract_is_used(tmp_path: Path) -> None:
    assert configured(tmp_path).contract is DOCUMENTED_CONTRACT
    assert [event.name for event in DOCUMENTED_CONTRACT.events] == [
        "bot_status_update",
        "whatsapp_connection_event",
        "message_sync",
        "connection_update",
    ]


def test_events_are_read_from_the_file(tmp_path: Path) -> None:
    toml = '[[event]]\nname = "tick"\n[[event]]\nname = "news"\nemit = "ask"\npayload = {n = 1}\nwithin = "300ms"\n'
    contract = configured(tmp_path, toml=toml + 'required = false\nuser = "data.owner.id"\n').contract
    tick, news = contract.events
    assert (tick.emit, tick.within, tick.required, tick.user) == (None, 2.0, True, "userId")
    assert (news.emit, news.payload, news.within, news.required) == ("ask", {"n": 1}, 0.3, False)
    assert news.user_in({"data": {"owner": {"id": 7}}}) == "7"
    assert [news.user_in(payload) for payload in ({}, {"data": 1}, {"data": {"owner": {"id": True}}}, [1])] == [
        None
    ] * 4
    assert contract.event_named("tick") is tick
    assert contract.event_named("bot_status_update") is None


INVALID_EVENTS = [
    ("event = 3\n", "wscheck.toml:1: `event` must be a list of tables"),
    ("\nevent = [1]\n", "wscheck.toml:2: `event` must be a list of tables"),
    ("[event]\nname = 'x'\n", "wscheck.toml:1: `event` must be a list of tables"),
    ("[[event]]\nname = 'x'\n\n[[event]]\nnmae = 'y'\n", "wscheck.toml:5: unknown key `nmae`"),
    ("[[event]]\nname = 7\n", "wscheck.toml:2: 7 is not text"),
    ("[[event]]\nname = ''\n", "wscheck.toml:2: '' is not text"),
    ("[[event]]\nemit = 'x'\n", "wscheck.toml:1: Object missing required field `name`"),
    ("[[event]]\nname = 'x'\n[[event]]\nname = 'y'\n\nemit = 7\n", "wscheck.toml:6: Expected `str | null`"),
    ("[[event]]\nname = 'x'\nwithin = 'soon'\n", "wscheck.toml:3: 'soon' is not a duration"),
    ("[[event]]\nname = 'x'\n[[event]]\nname = 'x'\n", "wscheck.toml:3: `x` is described twice"),
]


@pytest.mark.parametrize(("toml", "problem"), INVALID_EVENTS)
def test_an_error_in_an_event_is_reported_with_its_line(tmp_path: Path, toml: str, problem: str) -> None:
    error = refused(tmp_path, toml)
    assert error.problem.startswith(problem)
    assert error.exit_code == 2


# --- the file that init writes ------------------------------------------------------------------------------


def uncommented(text: str) -> str:
    """Every setting that is commented out, in force."""
    shown = (line.startswith("# ") and (" = " in line or "# [[allow]]" in line) for line in text.splitlines())
    lines = (line.removeprefix("# ") if each else line for line, each in zip(text.splitlines(), shown, strict=True))
    return "\n".join(lines)


def test_the_starter_file_lists_every_setting_with_its_default(tmp_path: Path) -> None:
    text = files("wscheck.config").joinpath("starter.toml").read_text()
    assert configured(tmp_path, toml=text).contract == DOCUMENTED_CONTRACT
    tables = tomllib.loads(uncommented(text))
    logs = tables.pop("logs")
    assert reader_factory([], [], logs, str) and set(logs) == {"markers", "keys"}
    shown = {f"{table}.{key}" for table, keys in tables.items() if table not in ("event", "allow") for key in keys}
    assert shown == {name for name, setting in SETTINGS.items() if not setting.secret}
    (tmp_path / "wscheck-baseline.json").write_text('{"schema": "wscheck.verify/1", "findings": []}')
    config = configured(tmp_path, toml=uncommented(text))
    assert [entry.rule for entry in config.bar.allow.entries] == ["multiple-connections"]
    examples = {"policy.baseline", "target.url", "identity.second_user_id", "verify.server_log", "actions.components"}
    examples |= {"connect.auth", "connect.headers", "connect.cookies", "connect.query"}
    for name, setting in SETTINGS.items():
        if setting.default is not None and name not in examples:
            assert config[name] == setting.default, name


def test_no_two_settings_share_a_variable() -> None:
    assert len({setting.variable for setting in SETTINGS.values()}) == len(SETTINGS)


def test_a_file_with_many_tables_is_searched_once_for_their_lines(tmp_path: Path) -> None:
    calls = dict[int, int]()
    for many in (100, 400):
        text = "".join(f'[[allow]]\nrule = "event-leaked"\nuser = "u{number}"\n' for number in range(many))
        (tmp_path / "wscheck.toml").write_text(text)
        with counted_calls() as count:
            assert len(load_config({}, directory=tmp_path, environ={}).allow.entries) == many
        calls[many] = count.calls
    assert calls[400] < 6 * calls[100]


def test_a_key_of_blanks_does_not_make_the_search_slow() -> None:
    began = time.process_time()
    _key_lines("[" + " " * 100_000 + "\n" + "a " * 100_000)
    assert time.process_time() - began < 5
