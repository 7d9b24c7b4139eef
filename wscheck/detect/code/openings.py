"""Opening calls of a source file, with their context."""

import re
from collections.abc import Iterable

from wscheck.detect.code.call_context import (
    Context,
    cleanup_of,
    contexts_of,
    dependencies_of,
    is_guarded,
    owner_name,
)
from wscheck.detect.code.connection_calls import ConnectionCall, connection_calls
from wscheck.detect.code.syntax import SourceCode, parse_source, string_value, text_of
from wscheck.model.code_facts import Api, CallContext, OpeningCall
from wscheck.model.events import CodeLocation
from wscheck.model.secrets import redact_source_code

MAX_URL_LENGTH = 120
_FORCES_NEW = re.compile(r"\bforceNew\s*:\s*true\b|\bmultiplex\s*:\s*false\b|\"force new connection\"\s*:\s*true")

# The context that explains most comes first, for a function that several contexts call.
_ORDER = (
    CallContext.RENDER,
    CallContext.DISCONNECT_HANDLER,
    CallContext.EFFECT,
    CallContext.STATE_INITIALISER,
    CallContext.MEMO,
    CallContext.SETUP,
    CallContext.CONSTRUCTOR,
    CallContext.EVENT_HANDLER,
    CallContext.MODULE,
    CallContext.FUNCTION,
)


def opening_calls(path: str, content: bytes) -> list[OpeningCall]:
    """Return the facts about each call in a file that opens a connection, in the order of the file."""
    source = parse_source(path, content)
    return [opening_call(source, call) for call in connection_calls(source)]


def opening_call_at(path: str, content: bytes, line: int, column: int = 0) -> OpeningCall | None:
    """Return the facts about the opening call at a 1-based line and column, None if there is none at this line.

    A stack frame may name the column of the callee or of its argument list, so the nearest call of the line is meant.
    """
    on_line = [call for call in opening_calls(path, content) if call.location.line == line]
    return min(on_line, key=lambda call: abs(call.location.column - column), default=None)


def opening_call(source: SourceCode, call: ConnectionCall) -> OpeningCall:
    """Return the facts about one call of a parsed file."""
    context = most_telling(contexts_of(source, call.node))
    row, byte_column = call.node.start_point
    options = " ".join(text_of(argument) for argument in call.arguments[1:])
    return OpeningCall(
        location=CodeLocation(source.path, row + 1, byte_column + 1, owner_name(context.owner)),
        api=call.api,
        url=_url(call),
        context=context.kind,
        owner=owner_name(context.owner),
        via=context.via,
        dependencies=dependencies_of(context.effect),
        cleanup=cleanup_of(source, call.node, context),
        after_await=context.after_await,
        guarded=is_guarded(call.node),
        forces_new=forces_new_connection(options),
        reconnects=_reconnects(call),
    )


def most_telling(contexts: Iterable[Context]) -> Context:
    """Return the context that explains most, of the contexts of one call."""
    return min(contexts, key=lambda each: _ORDER.index(each.kind))


def forces_new_connection(options: str) -> bool:
    """Return whether options, as source text, prevent that the call shares a connection."""
    return _FORCES_NEW.search(options) is not None


def _reconnects(call: ConnectionCall) -> bool | None:
    """Return whether the client reconnects by itself, None if the options are not in the call."""
    if call.api is not Api.SOCKET_IO:
        return call.api is Api.EVENT_SOURCE
    options = [argument for argument in call.arguments if argument.type == "object"]
    if any(re.search(r"\breconnection\s*:\s*false", text_of(each)) for each in options):
        return False
    unknown = len(call.arguments) > 1 and not options
    return None if unknown or any("..." in text_of(each) for each in options) else True


def _url(call: ConnectionCall) -> str:
    if not call.arguments or call.arguments[0].type == "object":
        return ""  # io() and io({ ... }) connect to the page's own origin
    first = call.arguments[0]
    literal = string_value(first)
    text = re.sub(r"\s+", " ", text_of(first)) if literal is None else literal
    if call.api is Api.SOCKET_IO and text in ("undefined", "window.location.origin", "location.origin"):
        return ""
    return redact_source_code(text)[:MAX_URL_LENGTH]
