"""WHO THE USERS ARE: disjoint over the workers, from a prefix and a number or from a CSV of (user id, token)."""

import csv
from pathlib import Path

from wscheck.config.load_profiles import is_users_file_header
from wscheck.config.target import Credentials
from wscheck.loadgen.endpoint import SetupError
from wscheck.model.secrets import Secret


class Roster:
    """Hands out credentials. Of `of` workers the one at `position` takes every `of`-th user, so they never meet.

    A user that stopped is free again: the lowest number first.
    """

    def __init__(self, prefix: str, token: str | None, rows: list[tuple[str, str | None]] | None = None) -> None:
        self._prefix, self._token, self._rows = prefix, token, rows
        self.position, self.of = 0, 1
        self._next = 0
        self._free: list[int] = []

    def take(self) -> tuple[int, Credentials]:
        """A number to give back, and who that is. Raises SetupError when the CSV has no more."""
        if self._free:
            self._free.sort(reverse=True)
            number = self._free.pop()
        else:
            number = self.position + self._next * self.of
            self._next += 1
        if self._rows is None:
            return number, self._made_up(number)
        if number >= len(self._rows):
            raise SetupError(f"the users file names {len(self._rows)}, and this run needs more")
        user, token = self._rows[number]
        return number, Credentials(user, Secret(token) if token else self._token_of(user))

    def give_back(self, number: int) -> None:
        """Its user stopped."""
        self._free.append(number)

    def _made_up(self, number: int) -> Credentials:
        user = f"{self._prefix}{number}"
        return Credentials(user, self._token_of(user))

    def _token_of(self, user: str) -> Secret | None:
        return Secret(self._token.replace("{user}", user)) if self._token else None


def read_users(path: str) -> list[tuple[str, str | None]]:
    """(user id, token) of each line; the token may be missing. Raises SetupError with the line's number."""
    rows: list[tuple[str, str | None]] = []
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            for number, row in enumerate(csv.reader(file), start=1):
                if not row or row[0].startswith("#") or (not rows and is_users_file_header(row)):
                    continue
                if not row[0].strip() or len(row) > 2:
                    raise SetupError(f"{path}, line {number}: write user id, then a comma, then the token")
                rows.append((row[0].strip(), row[1].strip() or None if len(row) == 2 else None))
    except (OSError, UnicodeError, csv.Error) as error:
        raise SetupError(f"the users file {path} cannot be read: {error}") from error
    if len({user for user, _ in rows}) < len(rows):
        raise SetupError(f"{path} names a user twice: each may be there once")
    return rows
