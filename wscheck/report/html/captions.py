"""What is said of a lane: short on the lane itself, in full for hover, the legend and the table."""

from wscheck.model.events import CodeLocation
from wscheck.report.formatting import one_line, plural
from wscheck.report.html.lanes import Lane
from wscheck.report.html.view import View


def label(lane: Lane, user: str | None) -> str:
    """`user_1 · Dashboard + BotCreationWizard · useBotWebSocket at useBotWebSocket.ts:5`, as far as it is known."""
    users = " + ".join(one_line(name) for name in (lane.component, *lane.shared_with) if name)
    return " · ".join(part for part in (one_line(user or ""), users, _code(lane)) if part)


def in_full(view: View, lane: Lane) -> str:
    """The whole lane in a sentence, for hover and for those who do not see the drawing."""
    user = f" of {one_line(lane.user)}" if lane.user else ""
    by = opener(lane.component, lane.opener)
    told = [f"Connection {one_line(lane.id)}{user}" + (f", opened by {by}" if by else "")]
    told += [f"called from {_place(lane.diverges_at)}"] if lane.diverges_at is not None else []
    told += [f"shared with {', '.join(map(one_line, lane.shared_with))}"] if lane.shared_with else []
    told.append(f"opened at {view.when(lane.opened_at)}" if lane.opened_at is not None else "open from before")
    told.append(f"closed at {view.when(lane.closed_at)}" if lane.closed_at is not None else "still open at the end")
    told += [f"replaced by {one_line(lane.replaced_by)}"] if lane.replaced_by is not None else []
    told += [reason(lane)] if lane.reasons else []
    told.append(plural(len(lane.deliveries), "delivery", "deliveries"))
    return "; ".join(told)


def reason(lane: Lane) -> str:
    return " / ".join(one_line(each) for each in lane.reasons)


def opened_by(lane: Lane) -> str:
    """Who opened it and, where several share that line, whose call it was."""
    by = opener(lane.component, lane.opener)
    return f"{by}, called from {_place(lane.diverges_at)}" if lane.diverges_at is not None else by


def opener(component: str | None, place: CodeLocation | None) -> str:
    where = _place(place) if place else ""
    return f"{one_line(component)} at {where}" if component and where else one_line(component or "") or where


def _place(place: CodeLocation) -> str:
    """`useBotWebSocket at src/hooks/useBotWebSocket.ts:5:18`"""
    return one_line(f"{place.function} at {place}" if place.function else str(place))


def _code(lane: Lane) -> str:
    """The line that tells this lane from others, short enough for the lane: the file's name and the line."""
    place = lane.diverges_at or lane.opener
    if place is None:
        return ""
    where = f"{place.file.rpartition('/')[2]}:{place.line}" if place.line else place.file.rpartition("/")[2]
    return one_line(f"{place.function} at {where}" if place.function else where)


def setting(name: str, value: object) -> tuple[str, str]:
    """How a run was asked to judge, in words: `grace_s: 0.25` is a grace of 0.25 s."""
    if isinstance(value, bool):
        return name.replace("_", " "), "yes" if value else "no"
    if name.endswith("_s") and isinstance(value, int | float):
        return name.removesuffix("_s").replace("_", " "), f"{value:g} s"
    return name.replace("_", " "), one_line(str(value))
