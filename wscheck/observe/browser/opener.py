"""From a stack of CDP to where a connection was opened: source-mapped, named, and followed over async boundaries."""

from collections.abc import Iterator
from typing import Any, Protocol

import msgspec

from wscheck.detect import stack_frames
from wscheck.model.events import CodeLocation
from wscheck.observe.traffic import ConnectionOrigin

DEEPEST = 80


class ScriptResolver(Protocol):
    """What knows the scripts: those of a live browser, or those that a HAR holds."""

    def place(self, session: str, frame: dict[str, Any]) -> tuple[CodeLocation, str]:
        """Where a frame of CDP was written, and the original name of what is called there."""
        ...

    def script(self, session: str, id: str, url: str) -> str:
        """The script's address as it may be told."""
        ...


class DevToolsStack(msgspec.Struct, frozen=True):
    """A stack as CDP gave it: `stack` has callFrames, and a parent where it continues beyond an await or a timer."""

    session: str
    stack: dict[str, Any]

    def frames(self) -> Iterator[list[dict[str, Any]]]:
        """The frames of each synchronous stretch, the innermost first."""
        part: dict[str, Any] | None = self.stack
        while part is not None:
            yield part.get("callFrames", [])
            part = part.get("parent")

    def scripts(self) -> set[str]:
        return {frame["scriptId"] for stretch in self.frames() for frame in stretch}


def resolve(raw: DevToolsStack | None, scripts: ScriptResolver) -> ConnectionOrigin:
    """Who opened it. Beyond an async boundary only while the application's own code reaches up to it: what a
    framework's scheduler runs has nothing to do with whoever made it run."""
    if raw is None:
        return ConnectionOrigin()
    stack: list[CodeLocation] = []
    for stretch in raw.frames():
        stack += _named(raw.session, stretch, scripts)
        if len(stack) >= DEEPEST or (
            stretch and stack_frames.app_frames(stack) and stack_frames.is_library_frame(stack[-1])
        ):
            break
    own = stack_frames.app_frames(stack)
    first = own[0] if own else None
    frames = [frame for stretch in raw.frames() for frame in stretch]
    return ConnectionOrigin(
        opener=first,
        stack=tuple(stack[:DEEPEST]),
        component=stack_frames.location_label(first) if first is not None else None,
        script=_script(raw, frames, stack, scripts, of=first),
        client=_script(
            raw, frames, stack, scripts, of=next((p for p in stack if stack_frames.is_client_frame(p)), None)
        ),
    )


def _script(
    raw: DevToolsStack,
    frames: list[dict[str, Any]],
    stack: list[CodeLocation],
    scripts: ScriptResolver,
    of: CodeLocation | None,
) -> str | None:
    if of is None:
        return None
    frame = frames[stack.index(of)]
    return scripts.script(raw.session, frame["scriptId"], frame.get("url", ""))


def _named(session: str, stretch: list[dict[str, Any]], scripts: ScriptResolver) -> list[CodeLocation]:
    """Minified names are put right: what a function was called stands where its caller called it."""
    placed = [scripts.place(session, frame) for frame in stretch]
    named = [_as_called(place, placed[depth + 1 : depth + 2]) for depth, (place, _) in enumerate(placed)]
    return list(stack_frames.tag_bundled_client(named))


def _as_called(place: CodeLocation, caller: list[tuple[CodeLocation, str]]) -> CodeLocation:
    if not 0 < len(place.function) <= stack_frames.MINIFIED_NAME_LENGTH or not caller:
        return place
    by, called = caller[0]
    # What a framework calls, it calls by a name of its own ("Component", "create"), and so does whoever shows a
    # component that is a file.
    component = place.file.endswith(stack_frames.COMPONENT_EXTENSIONS) and by.file != place.file
    foreign = (stack_frames.is_library_frame(by) or component) and not stack_frames.is_library_frame(place)
    return msgspec.structs.replace(place, function="" if foreign else called or place.function)
