"""Fixes that name the code which opened the connections: its file, its variable and its framework.

Each function returns "" if the code is unknown. The fix of the catalogue is used then.
"""

from collections.abc import Sequence

from wscheck.detect import stack_frames
from wscheck.detect.causes.client_words import opening_library
from wscheck.model.code_facts import CallContext, Cleanup, CodeLocation, OpenerCode
from wscheck.model.events import AttemptOutcome

_OF_AN_INSTANCE = frozenset(
    {
        *(CallContext.EFFECT, CallContext.RENDER, CallContext.STATE_INITIALISER, CallContext.MEMO),
        *(CallContext.SETUP, CallContext.CONSTRUCTOR),
    }
)


_METHODS_OF_COMPONENTS = frozenset({"", "setup", "mounted", "created", "data", "beforeMount"})


def belongs_to_instance(code: OpenerCode) -> bool:
    """Return whether the code runs for an instance of a component or class, rather than for the page."""
    return code.context in _OF_AN_INSTANCE


def component_names(code: OpenerCode) -> list[str]:
    """Return the names of the mounted components, without names that a minifier made."""
    return [name for name in code.components if len(name) > stack_frames.MINIFIED_NAME_LENGTH]


def _owner(code: OpenerCode) -> str:
    return "the component" if code.owner in _METHODS_OF_COMPONENTS else code.owner


def _opening_frame(opening: AttemptOutcome, code: OpenerCode) -> CodeLocation | None:
    """Return the stack frame of the component that opened the connection.

    If the component called a service that opened the connection, return the frame of the component, not of the service.
    """
    if opening.opener not in opening.stack:
        return opening.opener
    calling = stack_frames.calling_frames(opening.stack, opening.stack.index(opening.opener))
    return opening.stack[calling[: code.frames][-1]]


def close_when_it_leaves(opening: AttemptOutcome) -> str:
    """Return the fix that closes the connection when its component is unmounted."""
    code = opening.code
    if code is None or not belongs_to_instance(code):
        return ""
    if code.context in (CallContext.SETUP, CallContext.CONSTRUCTOR):
        return ""
    if code.context is not CallContext.EFFECT:
        return move_to_effect(opening)
    if code.after_await:
        return _register_cleanup_early(opening, code) if code.late_cleanup else opened_after_cleanup(opening)
    who = f"{_owner(code)} ({_opening_frame(opening, code)})"
    if code.cleanup is Cleanup.CLOSES:
        return f"A connection of {who} stayed open although the code closes one: close the socket of the same run."
    lines = _closing_lines(code, stack_frames.framework_name(opening.stack))
    return f"Disconnect when {who} leaves: {lines}."


def _register_cleanup_early(opening: AttemptOutcome, code: OpenerCode) -> str:
    variable, hook = code.assigned_to or "socket", code.late_cleanup
    return (
        f"`{hook}` never runs for the connection of {opening.opener}: it is called after an await, where the framework "
        f"no longer knows the component. Call it before the first await: `let {variable}, gone = false; "
        f"{hook}(() => {{ gone = true; {variable}?.disconnect(); }});`, and check `if (gone) return;` before io()."
    )


def _closing_lines(code: OpenerCode, framework: str | None) -> str:
    """Return the code that closes a connection, written for the framework of the component, hook or class."""
    variable = code.assigned_to or "socket"
    close = f"{variable}.disconnect()"
    by_framework = {
        "angular": f"add `ngOnDestroy() {{ {close}; }}`",
        "vue": f"`onUnmounted(() => {close})` (options API: `unmounted() {{ {close} }}`)",
        "solid": f"`onCleanup(() => {close})`",
    }
    if code.holder == "element":
        return f"add `disconnectedCallback() {{ {close}; }}`"
    if code.effect in ("onActivated", "activated"):
        hidden = f"onDeactivated(() => {close})" if code.effect == "onActivated" else f"deactivated() {{ {close}; }}"
        return f"`{hidden}`, because <KeepAlive> hides the component without unmounting it"
    if framework in by_framework:
        return by_framework[framework]
    if variable.startswith("this.") and code.holder in ("component", "class"):
        return f"add `componentWillUnmount() {{ {close}; }}`"
    opened = "io(...)" if code.frames == 1 else "..."
    keep = "" if code.assigned_to else f"keep the socket, `const socket = {opened}`, and "
    return f"{keep}end its effect with `return () => {close}`"


def move_to_effect(opening: AttemptOutcome) -> str:
    """Return the fix that opens the connection in an effect which closes it."""
    code = opening.code
    if code is None or stack_frames.framework_name(opening.stack) not in ("react", None):
        return ""
    return (
        f"Open it in an effect of {_owner(code)} that closes it, instead of at {_opening_frame(opening, code)}: "
        "`useEffect(() => { const socket = io(url); setSocket(socket); return () => socket.disconnect(); }, [])`. "
        "Or open it once in a module outside of the components."
    )


def create_client_once(opening: AttemptOutcome) -> str:
    """Return the fix for a component that creates the client of its connection each time it renders."""
    name = opening.code.of_render if opening.code is not None else ""
    return (
        f"Create `{name}` once: in the module, or with `const [{name}] = useState(() => ...)`. An effect that has it "
        "among its dependencies then runs once."
    )


def io_in_render(opening: AttemptOutcome) -> str:
    """Return the fix that moves the connection out of the body of the component."""
    return move_to_effect(opening)


def opened_after_cleanup(opening: AttemptOutcome) -> str:
    """Return the fix that keeps an effect from opening a connection after its cleanup has run."""
    code = opening.code
    if code is None:
        return ""
    variable = code.assigned_to or "socket"
    closes = f"{variable}?.disconnect();"
    return (
        f"Check after the wait whether the effect is still active: `let cancelled = false;` at its start, "
        f"`if (cancelled) return;` before io() at {opening.opener}, and `cancelled = true; {closes}` in its cleanup."
    )


def close_before_opening(opening: AttemptOutcome) -> str:
    """Return the fix for a client library that still opens a connection after the code has called its `close()`."""
    return (
        f"Update {_client_name(opening)}, or open its connection only while the effect is active: its close() must set "
        "a flag that it checks before it opens the connection."
    )


def cancel_reconnection(opening: AttemptOutcome) -> str:
    """Return the fix for a client that reconnects although the code has closed or replaced it."""
    return (
        f"End the reconnection of {_client_name(opening)} together with the client: its close() must set a flag that "
        "the close handler checks, and clear the timer of the next attempt. Update it, or keep one client and let it "
        "reconnect."
    )


def _client_name(opening: AttemptOutcome) -> str:
    """Return the client library that opened the connection, or "the client at" its call site if there is none."""
    return opening_library(opening.stack) or f"the client at {opening.opener}"


def guard_before_await(opening: AttemptOutcome) -> str:
    """Return the lines that let a second call wait for the connection of the first."""
    return (
        "Keep the promise of the first call, not only its socket: `let pending; const connect = () => (pending ??= "
        f"open());`, where `open` is the async function that waits and calls io() at {opening.opener}. Every caller "
        "gets the same promise. Or store a flag before the first await."
    )


def terminate_worker(opening: AttemptOutcome) -> str:
    """Return the change that ends a worker together with the component that started it."""
    return (
        "End the worker when the code that started it leaves, which closes its connection: `worker.terminate()` in the "
        f"cleanup. Or start one worker outside of the components, and share it ({opening.opener} then runs once)."
    )


def share(opening: AttemptOutcome, users: Sequence[str]) -> str:
    """Return the fix that lets several users (components or functions) of a connection share it."""
    code = opening.code
    framework = stack_frames.framework_name(opening.stack)
    if code is None or framework not in ("react", None) or not users:
        return ""
    named = " and ".join(dict.fromkeys(users))
    return (
        "Open the connection in one module or provider, count the components that use it, and share it: "
        f"{named} then use that one instead of opening their own."
    )


def provider_mounted_twice(opening: AttemptOutcome) -> str:
    """Return the fix that mounts a provider once."""
    name = opening.code.owner if opening.code is not None else ""
    return (
        f"Mount <{name}> once, above both places that need it, and remove the inner one: all below it share its socket."
    )


def page_and_worker(old: AttemptOutcome, new: AttemptOutcome) -> str:
    """Return the fix for a page and its worker that both connect: only the worker keeps a connection."""
    page = next((one for one in (old, new) if not (one.target or "").split(" ")[0].endswith("worker")), new)
    return (
        f"Let the worker keep the connection, remove io() at {page.opener}, and pass the events to the page "
        "(`postMessage`, or a BroadcastChannel). Or connect in the page only."
    )


def script_ran_twice(opening: AttemptOutcome) -> str:
    """Return the fix that keeps one connection however often the script runs."""
    return (
        f"Include {opening.script} once. If the page runs it again (Turbo, pjax), keep the connection of the first run "
        f"at {opening.opener}: `globalThis.appSocket ??= io(url)`."
    )


def module_in_two_bundles(opening: AttemptOutcome) -> str:
    """Return the fix by which a module in two bundles is evaluated only once."""
    file = opening.opener.file if opening.opener is not None else "the module"
    return (
        f"Build both entries in one build and put {file} into a shared chunk (splitChunks, manualChunks, code "
        "splitting), so that the page evaluates it once; or keep one instance: `globalThis.appSocket ??= io(url)`."
    )


def keep_one_connection(opening: AttemptOutcome) -> str:
    """Return the fix that keeps one connection instead of one for each run of the code."""
    code = opening.code
    if code is None:
        return ""
    variable = code.assigned_to or "socket"
    forced = " Remove forceNew as well." if code.forces_new else ""
    return (
        f"Open one connection outside of the code that runs again ({opening.opener}), keep it in `{variable}`, and "
        f"reuse it: send each request as an event, `{variable}.emitWithAck(...)`, and leave the connection open after "
        f"the answer.{forced}"
    )


def only_the_current_one(opening: AttemptOutcome) -> str:
    """Return the fix for a close handler that reacts to a connection which the code itself has replaced."""
    variable = opening.code.assigned_to if opening.code is not None and opening.code.assigned_to else "current"
    return (
        f"Let the handlers of a connection act only while it is the current one: keep it in a constant, and begin the "
        f"close handler with `if (socket !== {variable}) return;`; or remove the handler before you close it."
    )


def reopened_without_closing(opening: AttemptOutcome, *, has_values: bool = False) -> str:
    """Return the fix that reuses or closes the earlier connection.

    has_values  the addresses of the connections contain values that vary
    """
    code = opening.code
    if code is None:
        return ""
    variable = code.assigned_to or "socket"
    if code.dropped_at:
        return f"Close the connection before it is forgotten at {code.dropped_at}: `{variable}.disconnect();`."
    forced = " Remove forceNew as well." if code.forces_new else ""
    values = " Send the values that vary with an event instead of in the URL." if has_values else ""
    kept = (
        "" if code.overwrites else f"Keep the socket in a variable outside of the function that opens it ({variable}). "
    )
    return (
        f"{kept}Before io() at {opening.opener}, reuse the connection that is there "
        f"(`if ({variable}) return {variable};`) or close it (`{variable}?.disconnect();`).{values}{forced}"
    )


def stop_forcing(places: Sequence[str]) -> str:
    """Return the fix that lets namespaces share one connection: remove forceNew at the call sites in `places`."""
    return (
        f"Remove forceNew (or `multiplex: false`) at {' and '.join(places)}: io() then puts the namespaces of a server "
        "on one connection."
    )


def varying_address(opening: AttemptOutcome) -> str:
    """Return the fix for code that opens several connections because its URL varies, for example in a query value."""
    return (
        f"Open one connection at {opening.opener} for all callers, without forceNew and with one URL, and share it. "
        "Send the values that vary with an event, or once in auth: two calls of io() for one namespace share nothing."
    )


def leave_out_of_dependencies(opening: AttemptOutcome, tokens: Sequence[str]) -> str:
    """Return the fix that removes the token from the dependencies of an effect.

    The effect then keeps its connection open when the token changes. `tokens` are the dependencies to remove.
    """
    code = opening.code
    assert code is not None
    rest = [each for each in code.dependencies or () if each not in tokens]
    names = ", ".join(f"`{each}`" for each in tokens)
    return (
        f"Remove {names} from the dependencies at {opening.opener} (`[{', '.join(rest)}]`), and give the current token "
        "to each reconnection: `io(url, { auth: (send) => send({ token: latestToken() }) })`, or set `socket.auth`."
    )


def stable_dependencies(opening: AttemptOutcome) -> str:
    """Return the fix that keeps an effect from running with each render."""
    code = opening.code
    if code is None or stack_frames.framework_name(opening.stack) not in ("react", None):
        return ""
    if code.effect == "useSyncExternalStore":
        return (
            f"Give useSyncExternalStore the same function with each render ({opening.opener}): define `subscribe` "
            "outside of the component, or wrap it in useCallback. It subscribes again whenever the function is new."
        )
    if code.dependencies is None:
        return f"Give the effect at {opening.opener} a list of dependencies, `[]` or the values that it uses."
    names = ", ".join(f"`{each}`" for each in code.dependencies)
    return (
        f"Depend on primitive values (user.id rather than user) at {opening.opener}: its dependencies are {names}. "
        "Or create the value once, with useMemo or outside of the component."
    )
