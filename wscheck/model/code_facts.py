"""Facts about a place in the source code that opens a connection."""

from enum import StrEnum

import msgspec

from wscheck.model.events import CodeLocation


class Api(StrEnum):
    """Interface that opens the connection."""

    SOCKET_IO = "socket.io"
    WEBSOCKET = "websocket"
    EVENT_SOURCE = "event-source"


class CallContext(StrEnum):
    """Part of the program that runs a call, which decides how often it runs.

    MODULE             once, when the module is loaded
    RENDER             at each render of a React component or hook
    STATE_INITIALISER  in the function given to `useState`: once per mounted component, twice in StrictMode
    MEMO               in the function given to `useMemo`: React may run it again
    SETUP              once per instance: Vue's `setup`, the script of a Svelte component, a field of a class
    EFFECT             after a component has mounted, and again after its dependencies have changed
    CONSTRUCTOR        at each `new` of a class
    EVENT_HANDLER      at each event of the user or the browser
    DISCONNECT_HANDLER each time a connection has ended
    FUNCTION           at each call of a function whose callers are unknown
    """

    MODULE = "module"
    RENDER = "render"
    STATE_INITIALISER = "state-initialiser"
    MEMO = "memo"
    SETUP = "setup"
    EFFECT = "effect"
    CONSTRUCTOR = "constructor"
    EVENT_HANDLER = "event-handler"
    DISCONNECT_HANDLER = "disconnect-handler"
    FUNCTION = "function"


class Cleanup(StrEnum):
    """Closing of the connection when its component unmounts or its effect runs again.

    CLOSES   the cleanup closes it
    MISSING  nothing in the component closes it, and it does not leave the component
    UNKNOWN  the code does not show it
    """

    CLOSES = "closes"
    MISSING = "missing"
    UNKNOWN = "unknown"


class OpeningCall(msgspec.Struct, frozen=True, kw_only=True):
    """Call that opens a connection.

    location      file, line and column of the call, with the component, hook or function around it
    url           the URL as the code states it: the text of a literal, or the expression; "" for the page's own origin
    owner         name of the component, hook, class or function that contains the call, "" at module level
    via           functions between the context and the call, for example `connect` for an effect that calls connect()
    dependencies  dependencies of the effect, None if it has no list
    cleanup       whether the connection is closed, UNKNOWN where no cleanup is expected
    after_await   an `await` or a callback precedes the call, so it may run after the cleanup
    guarded       a condition around the call checks whether the connection exists already
    forces_new    the options contain `forceNew: true` or `multiplex: false`
    reconnects    the client reconnects by itself: False for `reconnection: false`, None if the code does not show it
    """

    location: CodeLocation
    api: Api
    url: str = ""
    context: CallContext = CallContext.FUNCTION
    owner: str = ""
    via: tuple[str, ...] = ()
    dependencies: tuple[str, ...] | None = None
    cleanup: Cleanup = Cleanup.UNKNOWN
    after_await: bool = False
    guarded: bool = False
    forces_new: bool = False
    reconnects: bool | None = None


class Replacement(msgspec.Struct, frozen=True, kw_only=True):
    """Text that replaces a part of a file, which is empty for an insertion.

    line, column          1-based start of the replaced part; columns count UTF-16 code units, as in SARIF
    end_line, end_column  1-based end, the column after the last one
    start, end            the same part, in bytes
    """

    line: int
    column: int
    end_line: int
    end_column: int
    start: int
    end: int
    text: str


class Patch(msgspec.Struct, frozen=True, kw_only=True):
    """Change of one file that removes a finding.

    diff  the change as a unified diff, with the credentials in its literals hidden
    """

    file: str
    replacements: list[Replacement]
    diff: str
