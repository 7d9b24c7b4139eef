"""Whether code ran while a component rendered, by what the framework that ran it is called there; pure."""

from wscheck.detect import stack_frames
from wscheck.model.events import CodeLocation

# What React calls while it renders, and what it calls in a state initialiser or memo, which run once.
_RENDERS = (
    "renderWithHooks",
    "renderFunctionComponent",
    "beginWork",
    "updateFunctionComponent",
    "finishClassComponent",
)
_ONCE = ("mountState", "mountReducer", "mountMemo", "useState", "useMemo")
# A memo whose dependency is new computes again, with every render at worst.
_AGAIN = ("updateMemo",)
_EFFECT = ("commitHookEffect", "commitPassive", "flushPassive", "invokePassiveEffect")

# What Vue and Angular call their templates with, and Vue a computed value; Svelte computes what a template calls, too.
_TEMPLATE = frozenset({"renderComponentRoot", "refreshComputed", "executeTemplate", "execute_derived"})
# Solid's package for the page calls nothing but what stands in JSX.
_JSX = "solid-js/web/"


def renders(stack: tuple[CodeLocation, ...]) -> bool:
    """Whether `stack` opened while a component rendered, or anew with every computing of a value that it shows."""
    return _in_template(stack) or _in_react(stack)


def _in_template(stack: tuple[CodeLocation, ...]) -> bool:
    """What is further out than the frames that called says nothing: components are made, and told that they are, while
    the template of another runs."""
    runner = stack_frames.framework_frames(stack)
    return any(place.function in _TEMPLATE for place in runner[:2]) or (bool(runner) and _JSX in runner[0].file)


def _in_react(stack: tuple[CodeLocation, ...]) -> bool:
    called = [place.function for place in stack if stack_frames.is_framework_frame(place)]
    return _any(called, _RENDERS) and not _any(called, _EFFECT) and (_any(called, _AGAIN) or not _any(called, _ONCE))


def _any(names: list[str], parts: tuple[str, ...]) -> bool:
    return any(part in name for name in names for part in parts)
