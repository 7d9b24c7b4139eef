"""The profile of a launched browser is removed afterwards, or by the next run if its own was killed."""

import signal
import subprocess
import sys
from pathlib import Path

from wscheck.observe.browser.launch import LOCK_NAME, PROFILE_PREFIX, fresh_profile, remove_abandoned_profiles

KEEPS_PROFILE = """
import sys
from wscheck.observe.browser.launch import fresh_profile
with fresh_profile(sys.argv[1]) as profile:
    print(profile, flush=True)
    input()
"""


def profiles(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{PROFILE_PREFIX}*"))


def test_a_profile_is_removed_after_its_run(tmp_path: Path) -> None:
    with fresh_profile(str(tmp_path)) as profile:
        Path(profile, "Default").mkdir()
        assert profiles(tmp_path) == [Path(profile)]
    assert profiles(tmp_path) == []


def test_the_next_run_removes_the_profile_of_a_killed_run(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", KEEPS_PROFILE, str(tmp_path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        profile_in_use = Path(run.stdout.readline().strip())
        remove_abandoned_profiles(str(tmp_path))
        assert profile_in_use.is_dir()
        run.send_signal(signal.SIGKILL)
    assert profile_in_use.is_dir()
    with fresh_profile(str(tmp_path)) as profile:
        assert profiles(tmp_path) == [Path(profile)]


def test_other_folders_are_not_removed(tmp_path: Path) -> None:
    unlocked, others, elsewhere = tmp_path / f"{PROFILE_PREFIX}new", tmp_path / "browser-x", tmp_path / "mine"
    for folder in (unlocked, others, elsewhere):
        folder.mkdir()
    for folder in (others, elsewhere):
        (folder / LOCK_NAME).touch()
    (tmp_path / f"{PROFILE_PREFIX}link").symlink_to(elsewhere)
    remove_abandoned_profiles(str(tmp_path))
    assert unlocked.is_dir() and (others / LOCK_NAME).is_file() and (elsewhere / LOCK_NAME).is_file()
