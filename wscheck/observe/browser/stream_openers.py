"""Call sites of `new EventSource()`.

An EventSource sends its request later, from a task of the browser, so that the request has no stack. A script in each
page therefore replaces the constructor by one that reports its stack, and otherwise does the same. Workers are left as
they are.
"""

import json
import re
from typing import Any

from wscheck.detect.bounded_dict import BoundedDict
from wscheck.observe.browser.opener import DevToolsStack
from wscheck.observe.browser.scripts import PageScripts

BINDING = "__wscheckEventSource"

MAX_PENDING = 1_000
"""URLs whose openers are stored until the request is sent."""

MAX_FRAMES = 50

# An EventSource that its page closes at once, as StrictMode does, sends no request and is not reported.
WRAPPER = f"""(() => {{
  const report = globalThis.{BINDING}, Native = globalThis.EventSource;
  delete globalThis.{BINDING};
  if (typeof report !== 'function' || typeof Native !== 'function') return;
  const construct = (target, args, newTarget) => {{
    const source = Reflect.construct(target, args, newTarget), limit = Error.stackTraceLimit;
    Error.stackTraceLimit = {MAX_FRAMES};
    const stack = new Error().stack;
    Error.stackTraceLimit = limit;
    queueMicrotask(() => {{ if (source.readyState !== 2) report(JSON.stringify([source.url, String(stack)])) }});
    return source;
  }};
  globalThis.EventSource = new Proxy(Native, {{construct}});
}})()"""

_FRAME = re.compile(r"^\s+at (?:async )?(?:(?P<function>.*?) \()?(?P<url>[^()\s]+?):(?P<line>\d+):(?P<column>\d+)\)?$")


class StreamOpeners:
    """Stacks of the EventSource objects that have not sent their request yet, by session and URL."""

    def __init__(self, scripts: PageScripts) -> None:
        self._scripts = scripts
        self._pending = BoundedDict[tuple[str, str], list[DevToolsStack]](MAX_PENDING)

    def on_binding_called(self, session: str, params: dict[str, Any]) -> None:
        """Process Runtime.bindingCalled: a page created an EventSource. A page can call it with any text."""
        if params.get("name") != BINDING:
            return
        try:
            url, text = json.loads(params["payload"])
        except (ValueError, TypeError):
            return
        if isinstance(url, str) and isinstance(text, str):
            stack = DevToolsStack(session, {"callFrames": self._call_frames(session, text)})
            self._pending.setdefault((session, url), []).append(stack)

    def take(self, session: str, url: str) -> DevToolsStack | None:
        """Return the stack of the oldest EventSource for a URL that sent no request yet; None for a reconnection."""
        stacks = self._pending.get((session, url))
        stack = stacks.pop(0) if stacks else None
        if not stacks:
            self._pending.pop((session, url), None)
        return stack

    def _call_frames(self, session: str, text: str) -> list[dict[str, Any]]:
        """Return the call frames of a stack as V8 prints it, without that of the constructor."""
        frames = []
        for match in filter(None, map(_FRAME.match, text.splitlines()[:MAX_FRAMES])):
            line, column = int(match["line"]) - 1, int(match["column"]) - 1
            script_id = self._scripts.script_at(session, match["url"], line, column)
            if script_id is not None:
                function = (match["function"] or "").removeprefix("new ")
                place = {"functionName": function, "url": match["url"], "lineNumber": line, "columnNumber": column}
                frames.append({"scriptId": script_id, **place})
        return frames
