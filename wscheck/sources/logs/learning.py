"""Templates for lines of any form: made of one record, and believed once others were read alike both ways.

What a template reads at a glance takes the careful way ten times as long. Nothing need be known of the form: the
careful way says what a line tells, and wherever that stands, something else may stand in the next line.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from wscheck.sources.logs import templates
from wscheck.sources.logs.envelopes import decoded, opened
from wscheck.sources.logs.readings import Reader
from wscheck.sources.logs.stamps import STAMP, Calendar, Moment
from wscheck.sources.logs.templates import Hole, Template
from wscheck.sources.logs.wording import RESTARTED, TOLD, WANTED

PROOFS = 2
"""So many further records must say by the template what they say by the careful way before it is believed."""

ATTEMPTS = 30
"""After so many records of a shape that were not read by a template, no more is learned of it."""

MOST_SHAPES = 200
LONGEST = 1 << 12

_WORDS = re.compile(rb"[\w.:@+-]+")
_NUMBER = re.compile(r"(?<![\w.:/+-])\d{1,9}(?![\w.:/+-])")
_KEY = re.compile(r"""(?P<key>[A-Za-z_][\w.-]*)\\*["']?\s*[:=]\s*(?P<quote>\\*["']?)$""")


class Said(NamedTuple):
    """What a line says: `ids` in the order of `TOLD`, "" for one that it does not tell."""

    kind: str
    ids: tuple[str, ...]
    at: float | None
    bare: bool


class Trial(msgspec.Struct):
    """Templates that differ only in where the time stands, and how many further records they read rightly."""

    templates: list[Template]
    proofs: int = 0

    @property
    def believed(self) -> bool:
        return self.proofs >= PROOFS and len(self.templates) == 1


class Shape(msgspec.Struct):
    """What was learned of lines that differ in nothing but words."""

    trials: list[Trial] = msgspec.field(default_factory=list)
    attempts: int = 0


class Learner:
    """Learns from the lines of one log."""

    def __init__(self, reader: Reader, calendar: Calendar) -> None:
        self._reader, self._calendar = reader, calendar
        self._shapes: dict[bytes, Shape] = {}

    def template(self, raw: bytes) -> Template | None:
        """The template for a line like `raw`, None while none is believed."""
        if len(raw) > LONGEST:
            return None
        skeleton = _WORDS.sub(b"", raw)
        if skeleton not in self._shapes and len(self._shapes) >= MOST_SHAPES:
            return None
        shape = self._shapes.setdefault(skeleton, Shape())
        trial = next((trial for trial in shape.trials if trial.templates[0].match(bytearray(raw), 0, len(raw))), None)
        if trial is not None and trial.believed:
            return trial.templates[0]
        if shape.attempts < ATTEMPTS:
            shape.attempts += 1
            self._learn(raw, shape, trial)
        return None

    def _learn(self, raw: bytes, shape: Shape, trial: Trial | None) -> None:
        said = self._carefully(raw)
        if trial is not None:
            trial.templates = [template for template in trial.templates if _said(template, raw) == said]
            trial.proofs += 1
        elif said is not None:
            shape.trials.append(Trial(list(self._made(raw, said))))
        shape.trials = [trial for trial in shape.trials if trial.templates]

    def _carefully(self, raw: bytes) -> Said | None:
        """What a line says that is a whole record by itself; None where it is none, or one that may go on."""
        message = opened(decoded(raw), self._calendar)
        reading = self._reader.read(message) if not message.partial else None
        if reading is None or reading.kind == RESTARTED or reading.unclear or reading.opens:
            return None
        bare = reading.bare and not message.structured
        if not set(WANTED[reading.kind]) <= reading.ids.keys() or reading.behind or (bare and message.source):
            return None
        at = message.at if message.at is not None else self._calendar.read(reading.before)
        return Said(reading.kind, tuple(reading.ids.get(role, "") for role in TOLD[reading.kind]), at, bare)

    def _made(self, raw: bytes, said: Said) -> Iterator[Template]:
        """What may be the record's template: one for each place where its time may stand."""
        text = raw.decode("latin-1")  # a character for each byte
        told = {role: value for role, value in zip(TOLD[said.kind], said.ids, strict=True) if value}
        ids = [hole for role, value in told.items() for hole in self._id(text, role, value)]
        if len(ids) < len(told):
            return
        numbers = [Hole(*number.span(), templates.NUMBER) for number in _NUMBER.finditer(text)]
        stamps = list(STAMP.finditer(text))
        for time in self._times(stamps, said.at):
            holes = [Hole(*stamp.span(), templates.stamp(stamp, stamp is time)) for stamp in stamps]
            moment = self._moment(time) if time is not None else None
            yield templates.of_line(said.kind, raw, [*ids, *holes, *numbers], moment, bare=said.bare)

    def _times(self, stamps: list[re.Match[str]], at: float | None) -> list[re.Match[str] | None]:
        """The stamps that say `at`; None stands for that of a record that has no time."""
        said = [self._moment(stamp)(stamp[0].encode()) if stamp[0].isascii() else None for stamp in stamps]
        clock = any(stamp.lastgroup == "clock" for stamp in stamps)
        if None in said or (clock and len(stamps) > 1):
            return []  # what is no time here may be one in the next record, or the date and the fraction may differ
        return [stamp for stamp, moment in zip(stamps, said, strict=True) if moment == at] if at is not None else [None]

    def _id(self, text: str, role: str, value: str) -> Iterator[Hole]:
        """Where an id stands, if it stands in one place and under its key."""
        found = list(re.finditer(rf"(?<![\w-]){re.escape(value)}(?![\w-])", text))
        key = _KEY.search(text[: found[0].start()][-100:]) if len(found) == 1 else None
        if key is not None and self._reader.role(key["key"]) == role:
            pattern = templates.id_like(role, value, quoted=bool(key["quote"]), end=text[found[0].end()])
            if pattern is not None:
                yield Hole(*found[0].span(), pattern)

    def _moment(self, stamp: re.Match[str]) -> Moment:
        kind = stamp.lastgroup or ""
        return lambda raw: self._calendar.parse(kind, raw.decode())


def _said(template: Template, raw: bytes) -> Said | None:
    match = template.match(bytearray(raw), 0, len(raw))
    if match is None:
        return None
    at = template.moment(match[template.time]) if template.moment is not None else None
    return Said(template.kind, tuple(map(bytes.decode, match.group(*template.ids))), at, template.bare)
