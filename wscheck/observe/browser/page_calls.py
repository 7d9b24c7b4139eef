"""Calls that the DevTools protocol does not report: `new EventSource()`, `send()` and `close()` of a WebSocket, and the
calls of `JSON.stringify()` that wrote a part of a sent message.

An EventSource sends its request later, from a task of the browser, so that the request has no stack. When a WebSocket
has closed, the protocol does not report whether the page or the server closed it. It does not report either which code
sent a message. A script in each page therefore replaces the constructor and the methods by functions that report the
call and then do the same as the original. Workers are not changed.

When code asks for a subscription, a client often sends it later, when the connection is open. Only console messages
contain a stack across awaits and timers. The script therefore reports a call of `send()` as a message of a separate
console, with a hash in place of the text. It does so for messages that look like a subscription, and for the first
message of each WebSocket. The bytes of a binary message are compared as characters (ISO 8859-1).

Some clients put messages into a queue, which a loop sends (SignalR). The stack of the loop leads to the code that
started it, and one frame may contain the messages of several callers. The messages of such a frame are therefore
located by the calls of `JSON.stringify()`, or of `set()` of a byte array for MessagePack, that wrote them. If there are
none, the stack ends at the loop, because each message of the loop has the same stack beyond its await.

Other clients store what is to be sent until the connection is open, and then send it from an event handler, whose stack
does not lead to the code that asked (Phoenix, Action Cable). They read `readyState` when they are asked. The script
reports the stack of such a call while the WebSocket connects.
"""

import json
import re
from typing import Any

from wscheck.detect.bounded_dict import BoundedDict
from wscheck.observe.browser.devtools import CONSOLE_MARK
from wscheck.observe.browser.opener import DevToolsStack
from wscheck.observe.browser.scripts import PageScripts

BINDING = "__wscheckCall"

MAX_HASHED = 500
"""Characters or bytes of a sent message by which its call is found."""

MAX_SEARCHED = 2_000
"""Characters or bytes of a sent message that are compared with `SUBSCRIBES` and `SUBSCRIBES_BINARY`."""

MAX_PENDING = 1_000
"""URLs whose calls are stored until the browser reports their effect."""

MAX_FRAMES = 50

MAX_WAITING = 100
"""Reads of `readyState` of a connecting WebSocket that are reported."""

WAITING = "waiting"
"""Third argument of the messages about reads of `readyState`, before the number of the WebSocket."""

MAX_WRITTEN, MAX_WRITTEN_LENGTH = 50, 20_000
"""JSON texts of a page that are stored until they are sent, and the longest of them (characters)."""

SUBSCRIBES = r'subscribe|"start"|phx_join|"type":4'
"""Texts that may start a subscription (JavaScript). Few other messages of an application are among them."""

SUBSCRIBES_BINARY = r"subscribe|^\x82|[\x94-\x96]\x04[\x80-\x8f]"
"""Binary messages that may start a subscription: of Action Cable, MQTT (SUBSCRIBE) and SignalR (a list of the message
type StreamInvocation and a map of headers)."""

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
  const {{context}} = globalThis.console || {{}}, subscribes = /{SUBSCRIBES}/i, inBytes = /{SUBSCRIBES_BINARY}/i;
  const start = bytes => String.fromCharCode(...bytes.subarray(0, {MAX_SEARCHED}));
  const described = data => {{
    if (typeof data === 'string') return [data.slice(0, {MAX_SEARCHED}), data.length, subscribes];
    if (data instanceof ArrayBuffer && data.byteLength) return [start(new Uint8Array(data)), data.byteLength, inBytes];
    if (!ArrayBuffer.isView(data) || !data.byteLength) return ['', 0, inBytes];
    return [start(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)), data.byteLength, inBytes];
  }};
  const own = typeof context === 'function' && context.call(globalThis.console), debug = own && own.debug.bind(own);
  const hashed = (text, length) => {{
    let hash = length;
    for (let i = 0; i < text.length && i < {MAX_HASHED}; i++) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) | 0;
    return hash;
  }};
  let written = [], watchesBytes = false;
  const begun = new WeakSet(), waiting = new WeakMap();
  let sockets = 0;
  const state = Object.getOwnPropertyDescriptor(Socket.prototype, 'readyState');
  const stateOf = socket => state && state.get ? Reflect.apply(state.get, socket, []) : socket.readyState;
  if (debug && state && state.get && state.configurable) Object.defineProperty(Socket.prototype, 'readyState', {{
    ...state, get: new Proxy(state.get, {{
      apply: (target, self, args) => {{
        const now = Reflect.apply(target, self, args);
        if (now !== 0) return now;
        const [number, reads] = waiting.get(self) || [++sockets, 0];
        waiting.set(self, [number, reads + 1]);
        if (reads < {MAX_WAITING}) debug('{CONSOLE_MARK}', self.url, '{WAITING}', number);
        return now;
      }},
    }}),
  }});
  const watchBytes = () => {{
    watchesBytes = true;
    const arrays = Object.getPrototypeOf(Uint8Array.prototype);
    arrays.set = new Proxy(arrays.set, {{
      apply: (target, self, args) => {{
        const bytes = args[0], isOne = bytes instanceof Uint8Array && bytes[1] === 4 && bytes[0] >> 2 === 37;
        if (isOne && bytes.length <= {MAX_SEARCHED}) {{
          const text = start(bytes);
          written = [...written.slice(1 - {MAX_WRITTEN}), text];
          debug('{CONSOLE_MARK}', '', hashed(text, text.length));
        }}
        return Reflect.apply(target, self, args);
      }},
    }});
  }};
  const takeParts = text => {{
    const found = written.filter(each => text.includes(each));
    written = written.filter(each => !found.includes(each));
    return found.includes(text) ? [] : found.sort((a, b) => text.indexOf(a) - text.indexOf(b));
  }};
  if (debug) JSON.stringify = new Proxy(JSON.stringify, {{
    apply: (target, self, args) => {{
      const text = Reflect.apply(target, self, args);
      if (typeof text !== 'string' || text.length > {MAX_WRITTEN_LENGTH}) return text;
      if (!subscribes.test(text.slice(0, {MAX_SEARCHED}))) return text;
      written = [...written.slice(1 - {MAX_WRITTEN}), text];
      debug('{CONSOLE_MARK}', '', hashed(text, text.length));
      return text;
    }},
  }});
  if (debug) Socket.prototype.send = new Proxy(Socket.prototype.send, {{
    apply: (target, self, args) => {{
      const [text, length, pattern] = self instanceof Socket && stateOf(self) === 1 ? described(args[0]) : [''];
      if (!watchesBytes && /"protocol":\\s*"messagepack"/.test(text)) watchBytes();
      if (text && (pattern.test(text) || !begun.has(self))) {{
        const parts = written.length ? takeParts(typeof args[0] === 'string' ? args[0] : text) : [];
        if (!begun.has(self)) debug('{CONSOLE_MARK}', self.url, '{WAITING}', 0 - (waiting.get(self) || [0])[0]);
        debug('{CONSOLE_MARK}', self.url, hashed(text, length), ...parts.map(each => hashed(each, each.length)));
        begun.add(self);
      }}
      return Reflect.apply(target, self, args);
    }},
  }});
  globalThis.EventSource = new Proxy(Native, {{construct}});
  Socket.prototype.close = new Proxy(Socket.prototype.close, {{
    apply: (target, self, args) => {{
      const isOpen = self instanceof Socket && stateOf(self) < 2, result = Reflect.apply(target, self, args);
      if (isOpen) report(JSON.stringify([self.url]));
      return result;
    }},
  }});
}})()"""

_FRAME = re.compile(r"^\s+at (?:async )?(?:(?P<function>.*?) \()?(?P<url>[^()\s]+?):(?P<line>\d+):(?P<column>\d+)\)?$")


def sent_hash(data: str | bytes) -> int:
    """Return the hash of a sent message, the same number as the script in the page computes for this message."""
    text = data if isinstance(data, str) else data.decode("latin-1")
    units = text.encode("utf-16-le", "surrogatepass")
    number = len(units) // 2
    for at in range(0, min(len(units), 2 * MAX_HASHED), 2):
        number = (number * 31 + units[at] + (units[at + 1] << 8)) & 0xFFFFFFFF
    return number - (1 << 32) if number >= 1 << 31 else number


class PageCalls:
    """Calls that pages reported, by session and URL.

    A call is removed when the browser reports its effect: the request of an EventSource, or the close of a WebSocket.
    """

    def __init__(self, scripts: PageScripts) -> None:
        self._scripts = scripts
        self._openers = BoundedDict[tuple[str, str], list[DevToolsStack]](MAX_PENDING)
        self._closes = BoundedDict[tuple[str, str], int](MAX_PENDING)
        self._senders = BoundedDict[tuple[str, str, int], list[list[DevToolsStack]]](MAX_PENDING)
        self._waiting = BoundedDict[tuple[str, str, int], list[DevToolsStack]](MAX_PENDING)
        self._waited = BoundedDict[tuple[str, str], list[list[DevToolsStack]]](MAX_PENDING)
        self._writers = BoundedDict[tuple[str, int], DevToolsStack](MAX_PENDING)
        self._continued = BoundedDict[tuple[str, str], None](MAX_PENDING)

    def on_binding_called(self, session: str, params: dict[str, Any]) -> None:
        """Process Runtime.bindingCalled: a page reported a call. Ignore any other text, which a page may also send."""
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

    def on_console_message(self, session: str, params: dict[str, Any]) -> DevToolsStack | None:
        """Process Runtime.consoleAPICalled, and return the stack of the call that the page reports.

        Return None for any other message of a page.
        """
        trace = params.get("stackTrace")
        match [each.get("value") for each in params.get("args", ())]:
            case [mark, str(url), kind, int(number)] if mark == CONSOLE_MARK and kind == WAITING:
                return self._on_waiting(session, url, number, trace if isinstance(trace, dict) else {})
            case [mark, str(url), int(number), *parts] if mark == CONSOLE_MARK and isinstance(trace, dict):
                own_frames = trace.get("callFrames", [])[1:]  # without the method of the script
                waited = (session, str(trace.get("parentId", {}).get("id", "")))
                stack = DevToolsStack(session, {**trace, "callFrames": own_frames}, waited in self._continued)
                if not url:
                    self._writers.put((session, number), stack)
                    return stack
                if waited[1]:
                    self._continued.put(waited, None)
                writers = [self._writers.pop((session, part), None) for part in parts if isinstance(part, int)]
                stacks = [each for each in writers if each is not None]
                key = (session, url, number)
                self._senders.put(key, [*self._senders.get(key, []), stacks or [stack]][-MAX_FRAMES:])
                return stack
        return None

    def _on_waiting(self, session: str, url: str, number: int, trace: dict[str, Any]) -> DevToolsStack | None:
        """Store the stack of a read of `readyState` of the WebSocket `number`, and return it.

        If the number is not positive, the WebSocket sends its first message: its stacks become those of the next frame.
        """
        key = (session, url, max(number, 0))
        if number <= 0:
            found = self._waiting.pop((session, url, -number), [])
            self._waited.put((session, url), [*self._waited.get((session, url), []), found][-MAX_FRAMES:])
            return None
        stack = DevToolsStack(session, {**trace, "callFrames": trace.get("callFrames", [])[1:]})
        self._waiting.put(key, [*self._waiting.get(key, []), stack][-MAX_WAITING:])
        return stack

    def take_senders(self, session: str, url: str, data: str | bytes) -> list[DevToolsStack]:
        """Return the stacks of the oldest call of `send()` with the message `data`, and forget this call.

        There is one stack, or one for each part of the message that a call of `JSON.stringify()` wrote. The list is
        empty if no such call is known.
        """
        key = (session, url, sent_hash(data))
        stacks = self._senders.pop(key, [])
        if stacks[1:]:
            self._senders.put(key, stacks[1:])
        return stacks[0] if stacks else []

    def take_waiting(self, session: str, url: str) -> list[DevToolsStack]:
        """Return the stacks of the calls that found a WebSocket connecting which now sends its first message.

        Call this once for each WebSocket, in the order of their first messages.
        """
        found = self._waited.pop((session, url), [])
        if found[1:]:
            self._waited.put((session, url), found[1:])
        return found[0] if found else []

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
        """Return the DevTools call frames of `text`, the stack of a call as V8 prints it."""
        frames = []
        for match in filter(None, map(_FRAME.match, text.splitlines()[:MAX_FRAMES])):
            line, column = int(match["line"]) - 1, int(match["column"]) - 1
            script_id = self._scripts.script_at(session, match["url"], line, column)
            if script_id is not None:
                function = (match["function"] or "").removeprefix("new ")
                place = {"functionName": function, "url": match["url"], "lineNumber": line, "columnNumber": column}
                frames.append({"scriptId": script_id, **place})
        return frames
