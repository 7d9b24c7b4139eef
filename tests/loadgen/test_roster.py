"""Users are disjoint over the workers, each there once, and free again when they stopped."""

from pathlib import Path

import pytest

from wscheck.loadgen.endpoint import SetupError
from wscheck.loadgen.user_pool import Roster, read_users


def test_workers_share_the_users_out(tmp_path: Path) -> None:
    users = tmp_path / "users.csv"
    users.write_text("ada,token-a\nbob\n# nobody\n\ncyd,token-c\ndan,token-d\n")
    rosters = []
    for position in (0, 1):
        roster = Roster("", "token-of-{user}", read_users(str(users)))
        roster.position, roster.of = position, 2
        rosters.append([roster.take()[1] for _ in range(2)])
    told = [[(each.user, each.token and each.token.reveal()) for each in roster] for roster in rosters]
    assert told == [[("ada", "token-a"), ("cyd", "token-c")], [("bob", "token-of-bob"), ("dan", "token-d")]]


def test_a_heading_is_no_user(tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text("user_id,Token\nada,token-a\nbob,token\n")
    assert read_users(str(tmp_path / "users.csv")) == [("ada", "token-a"), ("bob", "token")]


def test_a_user_that_stopped_is_taken_again() -> None:
    roster = Roster("u", None)
    first, second = roster.take(), roster.take()
    roster.give_back(first[0])
    assert roster.take()[1].user == first[1].user
    assert roster.take()[1].user not in (first[1].user, second[1].user)


def test_of_those_that_stopped_the_lowest_is_taken_first() -> None:
    roster = Roster("u", None)
    numbers = [roster.take()[0] for _ in range(3)]
    for number in (numbers[1], numbers[0], numbers[2]):
        roster.give_back(number)
    assert [roster.take()[0] for _ in range(3)] == numbers


@pytest.mark.parametrize("text", ["ada,a,b\n", "ada,a\nada,b\n", ",token\n"])
def test_a_users_file_that_makes_no_sense_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "users.csv").write_text(text)
    with pytest.raises(SetupError, match=r"users\.csv"):
        read_users(str(tmp_path / "users.csv"))
