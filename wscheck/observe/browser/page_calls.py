"""Calls of a page that the DevTools protocol does not report: `new EventSource()`, and `close()` of a WebSocket.

An EventSource sends its request later, from a task of the browser, so that the request has no stack. When a WebSocket
has closed, the protocol does not report whether the page or the server closed it. A script in each page therefore
replaces the constructor and the method by functions that report the call and then do the same as the original. Workers
are not changed.
"""

import json
import re
from typing import Any

from wscheck.detect.bounded_dict import BoundedDict
from wscheck.observe.browser.opener import DevToolsStack
from wscheck.observe.browser.scripts import PageScripts

BINDING = "__wscheckCall"

MAX_PENDING = 1_000
"""URLs whose calls are stored until the browser reports their effect."""

MAX_FRAMES = 50

# An EventSource that its page closes at once, as StrictMode does, sends no request and is not reported.
WRAPPER = f"""(() => {{
  const report = globalThis.{BINDING}, Native = globalThis.EventSource, Socket = globalThis.WebSocket;
  delete globalThis.{BINDING};
  if (typeof report !== 'function' || typeof Native !== 'function' || typeof Socket !== 'function') return;
  const construct = (target, args, newTarget) => {{
    const source = Reflect.construct(target, args, newTarget), limit = Error.stackTraceLimit;
    Error.stackTraceLimit = {MAX_FRAMES};
    const stack = new Error().stack;
    Error.stackTraceLimit = limit;
    queueMicrotask(() => {{ if (source.readyState !== 2) report(JSON.stringify([source.url, String(stack)])) }});
    return source;
  }};
  globalThis.EventSource = new Proxy(Native, {{construct}});
  Socket.prototype.close = new Proxy(Socket.prototype.close, {{
    apply: (target, self, args) => {{
      const isOpen = self instanceof Socket && self.readyState < 2, result = Reflect.apply(target, self, args);
      if (isOpen) report(JSON.stringify([self.url]));
      return result;
    }},
  }});
}})()"""

_FRAME = re.compile(r"^\s+at (?:async )?(?:(?P<function>.*?) \()?(?P<url>[^()\s]+?):(?P<line>\d+):(?P<column>\d+)\)?$")


class PageCalls:
    """Calls that pages reported, by session and URL.

    A call is removed when the browser reports its effect: the request of an EventSource, or the close of a WebSocket.
    """

    def __init__(self, scripts: PageScripts) -> None:
        self._scripts = scripts
        self._openers = BoundedDict[tuple[str, str], list[DevToolsStack]](MAX_PENDING)
        self._closes = BoundedDict[tuple[str, str], int](MAX_PENDING)

    def on_binding_called(self, session: str, params: dict[str, Any]) -> None:
        """Process Runtime.bindingCalled. A page can call the binding with any text."""
        if params.get("name") != BINDING:
            return
        try:
            call = json.loads(params["payload"])
        except (ValueError, RecursionError):
            return
        match call:
            case [str(url), str(text)]:
                stack = DevToolsStack(session, {"callFrames": self._call_frames(session, text)})
                self._openers.put((session, url), [*self._openers.get((session, url), []), stack])
            case [str(url)]:
                self._closes.put((session, url), self._closes.get((session, url), 0) + 1)

    def take_opener(self, session: str, url: str) -> DevToolsStack | None:
        """Return the stack of the oldest `new EventSource(url)` for this URL that has not sent a request.

        Return None if there is none: the request is then a reconnection.
        """
        stacks = self._openers.pop((session, url), [])
        if stacks[1:]:
            self._openers.put((session, url), stacks[1:])
        return stacks[0] if stacks else None

    def take_close(self, session: str, url: str) -> bool:
        """Return whether the page called `close()` on a WebSocket with this URL. Each call is returned only once.

        Use this when the browser reports that the WebSocket closed: if the page did not call `close()`, the server did.
        """
        count = self._closes.pop((session, url), 0)
        if count > 1:
            self._closes.put((session, url), count - 1)
        return count > 0

    def _call_frames(self, session: str, text: str) -> list[dict[str, Any]]:
        """Return the call frames of a stack as V8 prints it, without the frame of the constructor."""
        frames = []
        for match in filter(None, map(_FRAME.match, text.splitlines()[:MAX_FRAMES])):
            line, column = int(match["line"]) - 1, int(match["column"]) - 1
            script_id = self._scripts.script_at(session, match["url"], line, column)
            if script_id is not None:
                function = (match["function"] or "").removeprefix("new ")
                place = {"functionName": function, "url": match["url"], "lineNumber": line, "columnNumber": column}
                frames.append({"scriptId": script_id, **place})
        return frames
