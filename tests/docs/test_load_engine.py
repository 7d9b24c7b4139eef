"""docs/load-engine.md names every option and every metric of the load engine, and nothing else."""

import re
from pathlib import Path

from wscheck.config.load_profiles import LOAD_OPTIONS, LOAD_PROFILES
from wscheck.loadgen.aggregator import RunAggregator
from wscheck.loadgen.web import metrics

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "load-engine.md").read_text(encoding="utf-8")


def shown(default: object) -> str:
    if default is None or default is False:
        return ""
    return f"{default:g}" if isinstance(default, float) else str(default)


def test_every_option_is_documented_with_its_default() -> None:
    told = re.findall(r"^\| `(--[\w-]+)` \| `(\w+)` \| (.*?) \| (.*) \|$", TEXT, re.MULTILINE)
    assert [(flag, variable, meaning) for flag, variable, _, meaning in told] == [
        (option.flag, option.variable, option.help) for option in LOAD_OPTIONS
    ]
    assert [default.strip("`") for _, _, default, _ in told] == [shown(option.default) for option in LOAD_OPTIONS]


def test_every_metric_is_documented_with_its_type() -> None:
    told = set(re.findall(r"^\| `(wscheck_load_\w+)` \|.*\| (gauge|counter|histogram) \|", TEXT, re.MULTILINE))
    served = set(re.findall(r"^# TYPE (wscheck_load_\w+) (\w+)$", metrics(RunAggregator(None)), re.MULTILINE))
    assert told == served


def test_every_profile_has_its_locustfile() -> None:
    folder = DOCS.parent / "locustfiles"
    assert {path.stem for path in folder.glob("*.py")} == set(LOAD_PROFILES)
    for profile in LOAD_PROFILES:
        assert f"`{profile}`" in TEXT
        assert f'profile = "{profile}"' in (folder / f"{profile}.py").read_text(encoding="utf-8")
