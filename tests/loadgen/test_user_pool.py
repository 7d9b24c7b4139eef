"""Users of the workers: disjoint, each once, and available again after they stopped."""

from pathlib import Path

import pytest

from wscheck.loadgen.endpoint import SetupError
from wscheck.loadgen.options import UserPool, read_users


def test_no_two_workers_have_the_same_user(tmp_path: Path) -> None:
    users = tmp_path / "users.csv"
    users.write_text("ada,token-a\nbob\n# comment\n\ncyd,token-c\ndan,token-d\n")
    pools = []
    for offset in (0, 1):
        pool = UserPool("", "token-of-{user}", read_users(str(users)))
        pool.offset, pool.stride = offset, 2
        pools.append([pool.acquire()[1] for _ in range(2)])
    users_per_worker = [[(each.user, each.token and each.token.reveal()) for each in pool] for pool in pools]
    assert users_per_worker == [[("ada", "token-a"), ("cyd", "token-c")], [("bob", "token-of-bob"), ("dan", "token-d")]]


def test_a_header_line_is_not_a_user(tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text("user_id,Token\nada,token-a\nbob,token\n")
    assert read_users(str(tmp_path / "users.csv")) == [("ada", "token-a"), ("bob", "token")]


def test_a_user_that_stopped_is_acquired_again() -> None:
    pool = UserPool("u", None)
    first, second = pool.acquire(), pool.acquire()
    pool.release(first[0])
    assert pool.acquire()[1].user == first[1].user
    assert pool.acquire()[1].user not in (first[1].user, second[1].user)


def test_the_lowest_number_that_stopped_is_acquired_first() -> None:
    pool = UserPool("u", None)
    numbers = [pool.acquire()[0] for _ in range(3)]
    for number in (numbers[1], numbers[0], numbers[2]):
        pool.release(number)
    assert [pool.acquire()[0] for _ in range(3)] == numbers


@pytest.mark.parametrize("text", ["ada,a,b\n", "ada,a\nada,b\n", ",token\n"])
def test_a_malformed_users_file_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "users.csv").write_text(text)
    with pytest.raises(SetupError, match=r"users\.csv"):
        read_users(str(tmp_path / "users.csv"))
