"""Facts about a place in the source code that opens a connection."""

from enum import StrEnum

import msgspec


class CodeLocation(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A location in code. `line` and `column` count from 1; 0 means unknown.

    `file` is the path in the source map, or the URL of the script if there is no source map.
    """

    file: str
    line: int = 0
    column: int = 0
    function: str = ""

    def __str__(self) -> str:
        return ":".join([self.file, *(str(n) for n in (self.line, self.column) if n)])


class Api(StrEnum):
    """Interface that opens the connection.

    For STOMP and the members after it, the call only creates a client. The connection opens later: when a method of the
    client is called, or at the first subscription.
    """

    SOCKET_IO = "socket.io"
    WEBSOCKET = "websocket"
    EVENT_SOURCE = "event-source"
    PUSHER = "pusher"
    ECHO = "laravel-echo"
    MQTT = "mqtt"
    STOMP = "stomp"
    SIGNALR = "signalr"
    PHOENIX = "phoenix"
    GRAPHQL = "graphql"
    ACTION_CABLE = "action-cable"
    CENTRIFUGE = "centrifuge"
    SUPABASE = "supabase"

    @property
    def opens_at_once(self) -> bool:
        """True if the call itself opens the connection."""
        return self in (Api.SOCKET_IO, Api.WEBSOCKET, Api.EVENT_SOURCE, Api.PUSHER, Api.ECHO, Api.MQTT)


class CallContext(StrEnum):
    """Kind of code that contains a call. It determines how often the call runs.

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

    CLOSES   the cleanup closes the connection
    MISSING  no code of the component closes the connection, and no other code gets it
    UNKNOWN  the source code does not show which of the two applies
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
    constructor   the class as the code names it, "" if a function opens the connection
    library       package that the class or the function is imported from, "" for the browser's own
    """

    location: CodeLocation
    api: Api
    constructor: str = ""
    library: str = ""
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
    """Text that replaces a part of a file. For an insertion, the replaced part is empty.

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


class OpenerCode(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Facts in the source code about one opened connection, and how much of the page uses that code.

    The context comes from the innermost stack frame whose code has a context. For example, a function `connect` of a
    service opens the connection, and an effect calls it: the context is EFFECT.

    context      part of the program that opened the connection, None if its source is unknown
    owner        component, hook, class or function with this context, "" at module level
    holder       kind of the owner: "component", "hook", "class", "element" (custom element), "function", "" at module
                 level
    effect       function or method that registers the effect: "useEffect", "onActivated"; "" for another context
    dependencies dependencies of the effect, None if it has no list
    cleanup      whether the connection is closed, by the component or by the function that opened it
    late_cleanup hook that registers a cleanup ("onUnmounted"), if the code calls it after an `await`, when the
                 framework ignores it; "" if not
    after_await  an `await` or a callback precedes the call, so it may run after the cleanup
    guarded      a condition checks whether the connection exists already
    races        an `await` lies between this check and the call, so several runs may pass the check
    overwrites   the function stores the connection in a variable that outlives it, and does not check or close an
                 earlier connection in this variable
    forces_new   the options contain `forceNew: true` or `multiplex: false`
    provides     the owner gives the connection to the components below it (a provider)
    of_render    variable of the client, if the component calls a function that creates one at each render; "" if not
    assigned_to  variable or property that receives the connection, "" if none does
    dropped_at   place that sets the variable to null without closing the connection, "" if none does
    frames       number of the application's frames from the opener to the context
    mounted      number of mounted components whose code opened the connection, None if unknown; counted at the end
    components   names of these components, without repetition
    patch        change of the source file that adds the missing cleanup, None if no change is certain to be right
    """

    context: CallContext | None = None
    owner: str = ""
    holder: str = ""
    effect: str = ""
    dependencies: tuple[str, ...] | None = None
    cleanup: Cleanup = Cleanup.UNKNOWN
    late_cleanup: str = ""
    after_await: bool = False
    guarded: bool = False
    races: bool = False
    overwrites: bool = False
    forces_new: bool = False
    provides: bool = False
    of_render: str = ""
    assigned_to: str = ""
    dropped_at: str = ""
    frames: int = 1
    mounted: int | None = None
    components: tuple[str, ...] = ()
    patch: Patch | None = None
