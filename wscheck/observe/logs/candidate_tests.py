"""What is proposed is tried: a reader that follows it must find whose or which connection it is, and nothing else."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from wscheck.model.events import Connected, Disconnected, Event, Replaced
from wscheck.model.report import MarkerSuggestion
from wscheck.observe.logs.column_roles import Ids
from wscheck.observe.logs.vocabulary import CONNECTED, DISCONNECTED, REPLACED, Wording

MOST = 2
"""Wordings proposed for one kind of event."""

Read = Callable[[bytes, Wording], Sequence[Event]]
"""Reads a log by a wording."""

_EVENTS = {CONNECTED: Connected, DISCONNECTED: Disconnected, REPLACED: Replaced}


class Suggestion(NamedTuple):
    """What may be an event of `kind`: its words, what it may call its ids, by role, how many lines, and one of them."""

    kind: str
    text: str
    keys: tuple[tuple[str, str], ...]
    lines: int
    example: str

    def added_to(self, wording: Wording) -> Wording:
        """The wording by which these lines are read."""
        return Wording((*wording.markers, (self.kind, self.text)), (*wording.keys, *self.keys))

    def told(self) -> MarkerSuggestion:
        """As a report tells it."""
        keys = [f"{role}={name}" for role, name in self.keys]
        return MarkerSuggestion(kind=self.kind, marker=self.text, keys=keys, lines=self.lines, example=self.example)


class Trial(NamedTuple):
    """Where suggestions are tried: `about` as in `suggestions`, `others` are lines that speak of something else."""

    log: bytes
    wording: Wording
    read: Read
    about: Ids
    others: frozenset[int]

    def of(self, proposed: Suggestion) -> "Tried | None":
        """What a suggestion reads; None where it tells nobody's connection, or takes another line for one."""
        each = (proposed._replace(keys=()), proposed) if proposed.keys else (proposed,)
        told = [Tried(one, *self._told(self.read(self.log, one.added_to(self.wording)), one.kind)) for one in each]
        tried = max(told, key=lambda one: one.ids)
        if not tried.ids or not tried.lines.isdisjoint(self.others):
            return None
        return tried._replace(suggestion=tried.suggestion._replace(lines=len(tried.lines)))

    def _told(self, events: Iterable[Event], kind: str) -> tuple[int, frozenset[int]]:
        """How many ids events of a kind tell, and the lines of those that tell any."""
        wanted = {*self.about.sids, *self.about.users}
        told = [(event.line or 0, filter(None, _ids(event))) for event in events if isinstance(event, _EVENTS[kind])]
        named = [(line, sum(not wanted or each in wanted for each in ids)) for line, ids in told]
        return sum(count for _, count in named), frozenset(line for line, count in named if count)


class Tried(NamedTuple):
    """A suggestion, how many ids it tells, and the lines that it reads."""

    suggestion: Suggestion
    ids: int
    lines: frozenset[int]


def best(proposed: Iterable[Suggestion], trial: Trial) -> list[Suggestion]:
    """Those that tell most, as far as each reads lines that the others do not; the most frequent first."""
    tried = filter(None, map(trial.of, proposed))
    chosen, read = list[Suggestion](), frozenset[int]()
    for each in sorted(tried, key=lambda each: (-each.ids, -len(each.lines))):
        if len(chosen) < MOST and not each.lines <= read:
            chosen.append(each.suggestion)
            read |= each.lines
    return sorted(chosen, key=lambda suggestion: -suggestion.lines)


def _ids(event: Event) -> tuple[str | None, ...]:
    return event.user, getattr(event, "sid", None), getattr(event, "old_sid", None), getattr(event, "new_sid", None)
