"""WHAT A PROFILE'S PAGE DOES, from its name and the run's options."""

from typing import Any

import msgspec

from wscheck.loadgen.page_component import Habits

_STRICT_MODE_S = 0.005
_SOAK_EMIT_S = 30.0


class Behaviour(msgspec.Struct, frozen=True):
    """The habits of each component of the page, and how often the user emits (0: never)."""

    components: tuple[Habits, ...]
    emit_every_s: float


def behaviour_of(profile: str, options: Any) -> Behaviour:
    """The profile as a page; `profile` is one of wscheck.profiles.PROFILES."""
    calm = Habits(backoff_s=options.backoff, jitter=options.jitter)
    eager = msgspec.structs.replace(calm, kick_delay_s=options.reconnect_delay)
    components = {
        "unified": (calm,),
        "duplicated": (eager, eager),
        "tabs": (eager,) * options.tabs,
        "strict-mode": (msgspec.structs.replace(calm, drops_first_s=_STRICT_MODE_S),),
        "storm": (calm,),
        "soak": (calm,),
    }[profile]
    return Behaviour(components, _often(options.emit_every, _SOAK_EMIT_S if profile == "soak" else 0.0))


def _often(said: float | str | None, otherwise: float) -> float:
    """What is left out in Locust's web UI arrives as an empty text, and what is written there as text, too."""
    return otherwise if said in (None, "") else float(said or 0)
