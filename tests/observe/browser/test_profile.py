"""The profile of a launched browser: gone afterwards, and by the next run where its own was killed."""

import signal
import subprocess
import sys
from pathlib import Path

from wscheck.observe.browser.launch import LOCK_NAME, PROFILE_PREFIX, fresh_profile, remove_abandoned_profiles

HOLDS = """
import sys
from wscheck.observe.browser.launch import fresh_profile
with fresh_profile(sys.argv[1]) as profile:
    print(profile, flush=True)
    input()
"""


def profiles(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{PROFILE_PREFIX}*"))


def test_a_profile_goes_with_its_run(tmp_path: Path) -> None:
    with fresh_profile(str(tmp_path)) as profile:
        Path(profile, "Default").mkdir()
        assert profiles(tmp_path) == [Path(profile)]
    assert profiles(tmp_path) == []


def test_what_a_killed_run_left_goes_with_the_next_one_and_what_is_in_use_stays(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", HOLDS, str(tmp_path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        held = Path(run.stdout.readline().strip())
        remove_abandoned_profiles(str(tmp_path))
        assert held.is_dir()
        run.send_signal(signal.SIGKILL)
    assert held.is_dir()
    with fresh_profile(str(tmp_path)) as profile:
        assert profiles(tmp_path) == [Path(profile)]


def test_what_is_not_surely_a_dead_runs_is_left_alone(tmp_path: Path) -> None:
    unlocked, others, elsewhere = tmp_path / f"{PROFILE_PREFIX}new", tmp_path / "browser-x", tmp_path / "mine"
    for folder in (unlocked, others, elsewhere):
        folder.mkdir()
    for folder in (others, elsewhere):
        (folder / LOCK_NAME).touch()
    (tmp_path / f"{PROFILE_PREFIX}link").symlink_to(elsewhere)
    remove_abandoned_profiles(str(tmp_path))
    assert unlocked.is_dir() and (others / LOCK_NAME).is_file() and (elsewhere / LOCK_NAME).is_file()
