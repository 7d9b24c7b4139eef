"""The accepted fix in the words of the framework that ran the code: what React calls a cleanup has another name in each
(docs/causes.md)."""

from wscheck.detect import stack_frames
from wscheck.detect.causes.history import UserHistory

FRAMEWORK_FIXES: dict[str, dict[str, str]] = {
    "vue": {
        "two-openers": "Open it in one module, composable or Pinia store, count its users, and share it.",
        "io-in-render": "Move io() out of the template and of computed values: to onMounted, a store or a module.",
        "unstable-dependency": "Watch a primitive value (`() => user.id`), and read nothing else reactive beside io().",
        "hot-reload": "Disconnect in onUnmounted; in a module: `import.meta.hot?.dispose(() => socket.disconnect())`.",
        "unmount-without-cleanup": "Disconnect in onUnmounted (a kept-alive component in onDeactivated, a watcher in "
        "onWatcherCleanup), or share one reference-counted connection.",
        "handler-without-off": "`onUnmounted(() => socket.off(event, handler))`.",
    },
    "svelte": {
        "two-openers": "Open it in one module (.svelte.js) or store, count its users, and share it.",
        "io-in-render": "Move io() out of the template and of $derived: to onMount or a module.",
        "unstable-dependency": "Let the $effect read primitive values (user.id, not user), and `untrack` the rest.",
        "hot-reload": "Disconnect in onDestroy; in a module: `import.meta.hot?.dispose(() => socket.disconnect())`.",
        "unmount-without-cleanup": "Return `() => socket.disconnect()` from onMount or $effect, or call it in "
        "onDestroy; or share one reference-counted connection.",
        "handler-without-off": "Return `() => socket.off(event, handler)` from onMount or $effect.",
    },
    "solid": {
        "two-openers": "Open it in one module or context provider, count its users, and share it.",
        "io-in-render": "Move io() out of the JSX: to onMount, a context provider or a module.",
        "unstable-dependency": "Let the effect read primitive signals (a memo of the id), and `untrack` the rest.",
        "hot-reload": "Disconnect in onCleanup; in a module: `import.meta.hot?.dispose(() => socket.disconnect())`.",
        "unmount-without-cleanup": "`onCleanup(() => socket.disconnect())`, or share one reference-counted connection.",
        "handler-without-off": "`onCleanup(() => socket.off(event, handler))`.",
    },
    "angular": {
        "two-openers": "Open it in one service with `providedIn: 'root'` that no component provides again.",
        "io-in-render": "Move io() out of the template and of what it calls: to ngOnInit or a service of the root.",
        "unstable-dependency": "Let the effect read primitive signals (a computed id), and `untracked` the rest.",
        "hot-reload": "Open it in a service of the root and disconnect in its ngOnDestroy.",
        "unmount-without-cleanup": "Disconnect in ngOnDestroy or DestroyRef.onDestroy (an effect in onCleanup), or "
        "inject one service of the root.",
        "handler-without-off": "`socket.off(event, handler)` in ngOnDestroy or DestroyRef.onDestroy.",
    },
}
"""By framework and cause; where there is none, the catalogue's words are right."""


def fix(cause: str, trail: UserHistory, otherwise: str) -> str:
    """The fix of `cause` for who opened the latest connection."""
    stack = next((opened.stack for opened in reversed(trail.openings) if opened.stack), ())
    return FRAMEWORK_FIXES.get(stack_frames.framework_name(stack) or "", {}).get(cause, otherwise)
