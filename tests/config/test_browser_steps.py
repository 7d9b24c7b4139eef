"""Steps as they are written: each kind is read, each mistake is named with its line."""

from pathlib import Path

import pytest

from wscheck.config.browser_steps import ACTIONS, BrowserStep
from wscheck.config.loading import load_config
from wscheck.model.errors import UsageError
from wscheck.model.secrets import Secret


def steps(directory: Path, text: str, file: str = "wscheck.toml", **environ: str) -> tuple[BrowserStep, ...]:
    directory.joinpath(file).write_text(text)
    return load_config({}, directory=directory, environ=environ).steps


def step(directory: Path, line: str, **environ: str) -> BrowserStep:
    (found,) = steps(directory, f"[browser]\nfor = '1s'\n\n[[browser.step]]\n{line}\n", **environ)
    return found


def test_every_action_is_read(tmp_path: Path) -> None:
    told = """
[[browser.step]]
goto = "http://localhost:3000/"
within = "3s"
[[browser.step]]
click = "#go"
[[browser.step]]
fill = "#name"
with = "my bot"
[[browser.step]]
wait_for = ".connected"
[[browser.step]]
wait = "250ms"
[[browser.step]]
reload = true
[[browser.step]]
back = true
[[browser.step]]
tab = "/wizard"
[[browser.step]]
tab = 1
[[browser.step]]
press = "Control+K"
[[browser.step]]
select = "#country"
with = "de"
[[browser.step]]
upload = "#photo"
with = "FILE"
[[browser.step]]
hover = ".menu"
[[browser.step]]
scroll = -300
[[browser.step]]
wait_for_connection = true
[[browser.step]]
wait_for_event = "order"
[[browser.step]]
repeat = 7
steps = [{ click = "#open" }, { wait_for = "#chat", within = "3s" }]
[[browser.step]]
click = "#toggle"
within = "2s"
repeat = 3
[[browser.step]]
measure = "token refresh"
click = "#refresh"
"""
    found = steps(tmp_path, told.replace("FILE", str(Path(__file__))))
    assert {each.action for each in found} == set(ACTIONS)
    assert [each.argument for each in found][4:9] == [0.25, True, True, "/wizard", 1]
    assert [each.argument for each in found][13:] == [-300, True, "order", 7, 3, "token refresh"]
    assert [(each.action, each.argument, each.timeout_s) for each in found[16].steps] == [
        ("click", "#open", 10.0),
        ("wait_for", "#chat", 3.0),
    ]
    assert [(each.action, each.timeout_s) for each in found[17].steps] == [("click", 2.0)]
    assert [(each.action, each.argument) for each in found[18].steps] == [("click", "#refresh")]
    assert [found[n].timeout_s for n in (0, 1, 5, 7)] == [3.0, 10.0, 30.0, 30.0]
    assert found[2].typed == "my bot"
    assert [each.location for each in found][:3] == ["wscheck.toml:2", "wscheck.toml:5", "wscheck.toml:7"]
    assert str(found[1]) == 'wscheck.toml:5: click = "#go"'


def test_text_from_the_environment_is_a_secret(tmp_path: Path) -> None:
    found = step(tmp_path, "fill = '#password'\nwith_env = 'BOT_PASSWORD'", BOT_PASSWORD="sesame-open")
    assert found.typed == Secret("sesame-open")
    assert "sesame" not in repr(found) and "sesame" not in str(found)


def test_steps_are_read_from_pyproject(tmp_path: Path) -> None:
    (found,) = steps(tmp_path, "[project]\nname = 'x'\n[[tool.wscheck.browser.step]]\nback = true\n", "pyproject.toml")
    assert found.location == "pyproject.toml:3"


def test_without_step_tables_there_are_no_steps(tmp_path: Path) -> None:
    assert load_config({}, directory=tmp_path, environ={}).steps == ()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("clik = '#go'", "there is no step `clik`"),
        ("", "this step has no action"),
        ("click = '#a'\ngoto = '/b'", "this step has 2 actions (click, goto)"),
        ("click = 3", "`click` is 3"),
        ("click = ' '", "`click` is ' '"),
        ("reload = false", "`reload` is False"),
        ("back = 'yes'", "`back` is 'yes'"),
        ("wait = 'soon'", "'soon' is not a duration"),
        ("wait_for = '#a'\nwithin = 'soon'", "'soon' is not a duration"),
        ("wait = '1s'\nwithin = '2s'", "`wait` takes no `within`"),
        ("tab = 0", "`tab` is 0"),
        ("tab = true", "`tab` is True"),
        ("fill = '#a'", "`fill` needs `with` or `with_env`"),
        ("fill = '#a'\nwith = 'x'\nwith_env = 'Y'", "`fill` needs `with` or `with_env`"),
        ("fill = '#a'\nwith_env = 'NOT_SET'", "the variable NOT_SET is not set"),
        ("click = '#a'\nwith = 'x'", "only `fill`, `select`, `upload` take `with`"),
        ("press = 'Entr'", "`press` is 'Entr'"),
        ("press = 'Hyper+K'", "`press` is 'Hyper+K'"),
        ("select = '#a'", "`select` needs `with` or `with_env`"),
        ("upload = '#a'\nwith = '/no/such/file'", "there is no file /no/such/file"),
        ("wait_for_connection = 0", "`wait_for_connection` is 0"),
        ("wait_for_connection = '#a'", "`wait_for_connection` is '#a'"),
        ("repeat = 7", "`repeat` needs `steps`"),
        ("repeat = 0\nclick = '#a'", "`repeat` is 0"),
        ("repeat = 3\nsteps = [{clik = '#a'}]", "there is no step `clik`"),
        ("repeat = 3\nsteps = [{repeat = 2, click = '#a'}]", "cannot contain `repeat`"),
        ("measure = 'refresh'", "`measure` needs `steps`"),
        ("measure = ''\nclick = '#a'", "`measure` is ''"),
        ("measure = 'refresh'\nsteps = [{repeat = 2, click = '#a'}]", "`measure` cannot contain `repeat`"),
        ("measure = 'refresh'\nrepeat = 2\nclick = '#a'", "has 3 actions"),
        ("click = '#a'\nsteps = [{click = '#b'}]", "only `repeat` and `measure` take `steps`"),
    ],
)
def test_an_invalid_step_is_rejected_with_its_line(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(UsageError) as raised:
        step(tmp_path, line)
    assert raised.value.problem.startswith("wscheck.toml:4: ")
    assert said in raised.value.problem
    assert raised.value.next_step


def test_a_misspelt_action_gets_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean `click`"):
        step(tmp_path, "clik = '#go'")


@pytest.mark.parametrize("text", ["[browser]\nstep = 3", "[browser.step]\nclick = '#a'", "[browser]\nstep = [3]"])
def test_steps_must_be_a_list_of_tables(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError):
        steps(tmp_path, text)


def test_an_unknown_key_next_to_the_steps_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"wscheck.toml:2: unknown key `fro`"):
        steps(tmp_path, "[browser]\nfro = '1s'")
