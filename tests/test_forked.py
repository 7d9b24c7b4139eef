"""A command that is forked does what one that is begun does, and one that does not end holds up no other."""

import subprocess
from pathlib import Path

import pytest

from tests.cli import environment, started
from tests.forked import forked


@pytest.mark.parametrize("arguments", [["explain", "zombie"], ["verify", "--from", "none.ndjson"], ["config"]])
def test_a_forked_run_has_the_same_output_and_exit_code(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "wscheck.toml").write_text('[identity]\nuser_id = "ädä"\n')
    environ = environment(tmp_path, WSCHECK_WINDOW="7s", COLUMNS="70")
    assert forked(arguments, tmp_path, environ, 60.0) == started(arguments, tmp_path, environ, 60.0)


def test_a_forked_run_that_hangs_is_killed(tmp_path: Path) -> None:
    environ = environment(tmp_path)
    with pytest.raises(subprocess.TimeoutExpired):
        forked(["serve", "--port", "0"], tmp_path, environ, 0.3)
    assert forked(["--version"], tmp_path, environ, 60.0)[0] == 0
