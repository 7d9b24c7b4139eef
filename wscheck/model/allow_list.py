"""Allow-list and baseline: known findings that do not fail a run."""

import datetime

import msgspec


class AllowEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One [[allow]] table of the configuration: findings that the team accepts.

    rule    id of the rule
    user    pattern of the user (`test-*`), None for every user
    file    pattern of a file that the finding names (`src/legacy/*`), None for every file
    until   last day on which the entry applies, None without an end
    reason  the team's reason
    """

    rule: str
    user: str | None = None
    file: str | None = None
    until: datetime.date | None = None
    reason: str = ""

    @property
    def is_for_whole_rule(self) -> bool:
        return self.user is None and self.file is None

    def __str__(self) -> str:
        limits = [f"{name} {value}" for name, value in (("user", self.user), ("file", self.file)) if value is not None]
        return " ".join([self.rule, *limits])


class FindingKey(msgspec.Struct, frozen=True):
    """Identity of a finding over several runs: rule, cause and place. Users and socket ids play no part.

    place  scenario, call sites and components, "" if the finding names none
    """

    rule: str
    cause: str = ""
    place: str = ""


class AllowList(msgspec.Struct, frozen=True, kw_only=True):
    """Findings that do not fail a run: the entries of the configuration, and those of an earlier report.

    today  date of the run, which decides which entries have expired; None if none can expire
    """

    entries: tuple[AllowEntry, ...] = ()
    baseline: frozenset[FindingKey] = frozenset()
    today: datetime.date | None = None

    def has_expired(self, entry: AllowEntry) -> bool:
        """Return whether the last day of the entry is over."""
        return entry.until is not None and self.today is not None and self.today > entry.until

    @property
    def whole_rules(self) -> frozenset[str]:
        """Ids of the rules whose findings are all allowed."""
        return frozenset(
            entry.rule for entry in self.entries if entry.is_for_whole_rule and not self.has_expired(entry)
        )
