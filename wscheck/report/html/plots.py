"""A run over time as lines: values per second in, positions in per cent out, so that a plot fits any width."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

POINTS = 240
"""Points drawn of one line; of a longer run each stands for the mean of several seconds."""


@dataclass(frozen=True)
class Line:
    """One line to draw: `values` one a second, None where nothing was measured. `dashed` ones are references."""

    name: str
    values: Sequence[float | None]
    hue: int
    dashed: bool = False


@dataclass(frozen=True)
class Drawn:
    """A line's `paths` (it breaks where nothing was measured), and its largest value in words."""

    name: str
    hue: int
    dashed: bool
    paths: list[str]
    most: str


@dataclass(frozen=True)
class Plot:
    """What `templates/plot.html.j2` draws. Ticks are (per cent, words)."""

    title: str
    unit: str
    lines: list[Drawn]
    across: list[tuple[float, str]]
    up: list[tuple[float, str]]
    said: str
    note: str


def plot(title: str, lines: Iterable[Line], unit: str = "", note: str = "") -> Plot | None:
    """The plot of `lines`, None when none of them has two values: one point is no course."""
    drawable = [line for line in lines if sum(value is not None for value in line.values) > 1]
    if not drawable:
        return None
    seconds = max(len(line.values) for line in drawable) - 1
    top = _nice(max(value for line in drawable for value in line.values if value is not None))
    drawn = [_drawn(line, seconds, top, unit) for line in drawable]
    return Plot(
        title=title,
        unit=unit,
        lines=drawn,
        across=[(round(100 * at / seconds, 3), f"{at:g} s") for at in _steps(seconds)],
        up=[(round(100 * share, 1), _told(share * top)) for share in (0.0, 0.5, 1.0)],
        said=f"{title}: " + "; ".join(f"{line.name} at most {line.most}" for line in drawn),
        note=note,
    )


def _drawn(line: Line, seconds: int, top: float, unit: str) -> Drawn:
    most = max(value for value in line.values if value is not None)
    return Drawn(line.name, line.hue, line.dashed, list(_paths(line.values, seconds, top)), _told(most) + unit)


def _paths(values: Sequence[float | None], seconds: int, top: float) -> Iterable[str]:
    """One path for each unbroken stretch, in a square of 100 by 100 with its origin at the top left."""
    step = max(1, math.ceil(len(values) / POINTS))
    stretch: list[str] = []
    for start in range(0, len(values), step):
        held = [value for value in values[start : start + step] if value is not None]
        if held:
            x, y = 100 * start / seconds, 100 - 100 * (sum(held) / len(held)) / top
            stretch.append(f"{'L' if stretch else 'M'}{x:.2f} {y:.2f}")
        elif stretch:
            yield "".join(stretch)
            stretch = []
    if stretch:
        yield "".join(stretch)


def _nice(most: float) -> float:
    """The next larger of 1, 2, 5, 10, 20, ... so that half of it reads well too."""
    if most <= 0:
        return 1.0
    power: float = 10 ** math.floor(math.log10(most))
    return next(power * digit for digit in (1, 2, 4, 6, 8, 10) if most <= power * digit)


def _steps(seconds: int) -> range:
    """About five places along the time axis, on round seconds."""
    step = next((s for s in (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600) if seconds / s <= 6), 7200)
    return range(0, seconds + 1, step)


def _told(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.2g}"
