"""Calls that open a connection, found by the names that a file imports."""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tree_sitter import Node

from wscheck.detect.code.syntax import SourceCode, descendants, node_text, string_value
from wscheck.model.code_facts import Api

CANDIDATE = re.compile(
    rb"\bio\s*(?:\.connect\s*)?\(|(?i:socket\.io-client)|socket\.io(?:\.esm)?(?:\.min)?\.js"
    rb"|\bWebSocket\b|\bEventSource\b|\bReconnectingWebSocket\b|\bSockJS\b|\bfetchEventSource\b"
    rb"|\b(?:EventSourcePolyfill|ReconnectingEventSource)\b|[\"'](?:reconnecting-)?eventsource[\"'/]"
    rb"|[\"'](?:event-source-polyfill|sse\.js)\b"
    rb"|\b(?:sockjs-client|reconnecting-websocket|partysocket|isomorphic-ws)\b"
    rb"|\buse(?:WebSocket|SocketIO|EventSource)\b|@stomp/|\b(?:pusher-js|laravel-echo|graphql-ws|actioncable|centrifuge)\b"
    rb"|[\"']phoenix[\"'/]|@microsoft/signalr|\bsubscriptions-transport-ws\b|\bsupabase\w*\s*\.\s*channel\(|@supabase/"
    rb"|[\"']mqtt[\"'/]"
)
"""Text that a file with an opening call contains. Other files need not be parsed."""

_SOCKET_IO_MODULE = re.compile(r"^socket\.io-client(?:$|[-/])|/socket\.io(?:\.esm)?(?:\.min)?\.js$", re.I)
"""Also a second version under another name (`socket.io-client-v2`), and the bundles of the package."""
_SOCKET_IO_EXPORTS = frozenset({"default", "io", "connect", "lookup"})
_WEBSOCKET_MODULES = frozenset(
    {"reconnecting-websocket", "partysocket", "partysocket/ws", "isomorphic-ws", "sockjs-client"}
)
_CONSTRUCTORS = {
    ("pusher-js", "default"): Api.PUSHER,
    ("laravel-echo", "default"): Api.ECHO,
    ("@stomp/stompjs", "Client"): Api.STOMP,
    ("@stomp/rx-stomp", "RxStomp"): Api.STOMP,
    ("@microsoft/signalr", "HubConnectionBuilder"): Api.SIGNALR,
    ("phoenix", "Socket"): Api.PHOENIX,
    ("subscriptions-transport-ws", "SubscriptionClient"): Api.GRAPHQL,
    ("centrifuge", "Centrifuge"): Api.CENTRIFUGE,
    ("centrifuge", "default"): Api.CENTRIFUGE,
    ("eventsource", "EventSource"): Api.EVENT_SOURCE,
    ("eventsource", "default"): Api.EVENT_SOURCE,  # up to version 2
    ("event-source-polyfill", "EventSourcePolyfill"): Api.EVENT_SOURCE,
    ("event-source-polyfill", "NativeEventSource"): Api.EVENT_SOURCE,
    ("event-source-polyfill", "EventSource"): Api.EVENT_SOURCE,
    ("reconnecting-eventsource", "default"): Api.EVENT_SOURCE,
    ("sse.js", "SSE"): Api.EVENT_SOURCE,
}
"""(module, export) of a class to the interface that its instances open."""

_FUNCTIONS = {
    ("graphql-ws", "createClient"): Api.GRAPHQL,
    ("@rails/actioncable", "createConsumer"): Api.ACTION_CABLE,
    ("actioncable", "createConsumer"): Api.ACTION_CABLE,
    ("@microsoft/fetch-event-source", "fetchEventSource"): Api.EVENT_SOURCE,
    ("mqtt", "connect"): Api.MQTT,
    ("mqtt", "connectAsync"): Api.MQTT,
}
_SUPABASE_CLIENTS = {
    ("@supabase/supabase-js", "createClient"),
    ("@supabase/ssr", "createBrowserClient"),
    ("@supabase/realtime-js", "RealtimeClient"),
}
_HOOKS = {
    ("react-use-websocket", "default"): Api.WEBSOCKET,
    ("react-use-websocket", "useWebSocket"): Api.WEBSOCKET,
    ("react-use-websocket", "useSocketIO"): Api.SOCKET_IO,
    ("react-use-websocket", "useEventSource"): Api.EVENT_SOURCE,
    ("partysocket/react", "default"): Api.WEBSOCKET,
    ("partysocket/react", "usePartySocket"): Api.WEBSOCKET,
    ("partysocket/react", "useWebSocket"): Api.WEBSOCKET,
    ("@vueuse/core", "useWebSocket"): Api.WEBSOCKET,
    ("@vueuse/core", "useEventSource"): Api.EVENT_SOURCE,
}
"""Hooks of libraries that open a connection in an effect of their own, which closes it."""

_URL_OPTIONS = frozenset({"url", "brokerURL", "wsHost", "host"})
_GLOBALS = frozenset({"window", "globalThis", "self"})

_DECLARATIONS = {
    "variable_declarator": "name",
    "required_parameter": "pattern",
    "class_declaration": "name",
    "function_declaration": "name",
}
"""Type of a node that declares a name to the field with the name."""

_GLOBAL_CONSTRUCTORS = {
    "WebSocket": Api.WEBSOCKET,
    "EventSource": Api.EVENT_SOURCE,
    "EventSourcePolyfill": Api.EVENT_SOURCE,
    "ReconnectingEventSource": Api.EVENT_SOURCE,
    "ReconnectingWebSocket": Api.WEBSOCKET,
    "SockJS": Api.WEBSOCKET,
}
_GLOBAL_NAMES = frozenset({"io", *_GLOBAL_CONSTRUCTORS})


class Binding(NamedTuple):
    """Origin of a local name: the module and the export that the file imports under this name.

    export  name of the export, "*" for the module as a whole
    """

    module: str
    export: str


_SUPABASE_CLIENT = Binding("@supabase", "client")
"""Binding of a variable of the file to which a client of Supabase is assigned."""


class ConnectionCall(NamedTuple):
    """Call that opens a connection.

    arguments  arguments of the call, without comments
    url        expression of the URL, None if the call has none
    managed    the call is a hook of a library, which closes the connection itself
    library    package that the called name is imported from, "" for a name of the browser
    """

    node: Node
    api: Api
    arguments: tuple[Node, ...]
    url: Node | None = None
    managed: bool = False
    library: str = ""


def connection_calls(source: SourceCode) -> list[ConnectionCall]:
    """Return the calls in `source` that open a connection, in the order of the file."""
    bindings = imported_names(source)
    bindings |= _supabase_clients(source, bindings)
    declared = _declared_names(source)
    calls = []
    for node in source.nodes("call_expression", "new_expression"):
        api = (
            _constructed_api(node, bindings, declared)
            if node.type == "new_expression"
            else _called_api(node, bindings, declared)
        )
        managed = api is None and (api := _hook_api(node, bindings)) is not None
        if api is not None:
            given = _arguments(node)
            library = _library(node, bindings)
            calls.append(ConnectionCall(node, api, given, _url_expression(node, api, given), managed, library))
    return calls


def _library(call: Node, bindings: dict[str, Binding]) -> str:
    """Return the npm package from which the called function or class is imported, "" if it is not imported.

    A path inside the package is left out.
    """
    called = call.child_by_field_name("function") or call.child_by_field_name("constructor")
    while called is not None and called.type == "member_expression":
        called = called.child_by_field_name("object")
    binding = bindings.get(node_text(called))
    return _package(binding.module) if binding is not None else ""


def _package(module: str) -> str:
    """Return the npm package of a module, without the path inside the package."""
    scope, slash, rest = module.partition("/")
    return f"{scope}/{rest.partition('/')[0]}" if slash and scope.startswith("@") else scope


def _api_of(table: Mapping[tuple[str, str], Api], module: str, export: str) -> Api | None:
    """Return the protocol or library to which `table` maps an export of a module, None if it does not contain it.

    A file in a package, such as `graphql-ws/lib/client`, counts as the package, unless `table` contains the file itself
    (`partysocket/react`).
    """
    own = any(module == each for each, _ in table)
    return table.get((module if own else _package(module), export))


def _supabase_clients(source: SourceCode, bindings: dict[str, Binding]) -> dict[str, Binding]:
    """Return the variables to which the file assigns a client of Supabase, each mapped to `_SUPABASE_CLIENT`."""
    if not any(binding.module.startswith("@supabase/") for binding in bindings.values()):
        return {}
    found = {}
    for declarator in source.nodes("variable_declarator"):
        value = declarator.child_by_field_name("value")
        if value is not None and value.type in ("call_expression", "new_expression"):
            maker = value.child_by_field_name("function") or value.child_by_field_name("constructor")
            binding = bindings.get(node_text(maker))
            if binding is not None and (binding.module, binding.export) in _SUPABASE_CLIENTS:
                found[node_text(declarator.child_by_field_name("name"))] = _SUPABASE_CLIENT
    return found


def _arguments(call: Node) -> tuple[Node, ...]:
    arguments = call.child_by_field_name("arguments")
    return tuple(each for each in arguments.named_children if each.type != "comment") if arguments is not None else ()


def _hook_api(node: Node, bindings: dict[str, Binding]) -> Api | None:
    binding = bindings.get(node_text(node.child_by_field_name("function")))
    return _api_of(_HOOKS, binding.module, binding.export) if binding is not None else None


def _url_expression(call: Node, api: Api, arguments: tuple[Node, ...]) -> Node | None:
    """Return the expression of the URL: the first argument, an option, or the argument of SignalR's `withUrl`."""
    if api is Api.SIGNALR:
        method = call.parent
        chained = method.parent if method is not None and method.type == "member_expression" else None
        is_url = chained is not None and node_text(method).endswith("withUrl") and chained.type == "call_expression"
        return next(iter(_arguments(chained)), None) if chained is not None and is_url else None
    if not arguments or api is Api.PUSHER:
        return None
    if arguments[0].type != "object":
        return arguments[0]
    for pair in arguments[0].named_children if api is not Api.SOCKET_IO else ():
        if pair.type == "pair" and node_text(pair.child_by_field_name("key")) in _URL_OPTIONS:
            return pair.child_by_field_name("value")
    return None


def imported_names(source: SourceCode) -> dict[str, Binding]:
    """Return the local names of all imports, also of `require` and `await import`."""
    names: dict[str, Binding] = {}
    for statement in source.nodes("import_statement"):
        names.update(_imported_by(statement))
    for declarator in source.nodes("variable_declarator"):
        names.update(_required_by(declarator))
    return names


def default_export(source: SourceCode) -> str:
    """Return the name of what a file exports as its default, also by `module.exports`; "" if it has no name."""
    for statement in source.nodes("export_statement"):
        value = statement.child_by_field_name("value") or statement.child_by_field_name("declaration")
        if value is not None and any(child.type == "default" for child in statement.children):
            return node_text(value if value.type == "identifier" else value.child_by_field_name("name"))
    for assignment in source.nodes("assignment_expression"):
        left, right = assignment.child_by_field_name("left"), assignment.child_by_field_name("right")
        if right is not None and node_text(left) == "module.exports":
            return node_text(right if right.type == "identifier" else right.child_by_field_name("name"))
    return ""


def _imported_by(statement: Node) -> Iterator[tuple[str, Binding]]:
    origin = statement.child_by_field_name("source")
    module = string_value(origin) if origin is not None else None
    if module is None:
        return
    for node in descendants(statement):
        if node.type == "import_specifier":
            exported, alias = node.child_by_field_name("name"), node.child_by_field_name("alias")
            yield node_text(alias or exported), Binding(module, node_text(exported))
        elif node.type == "namespace_import":
            yield node_text(node.named_children[0]), Binding(module, "*")
        elif node.type == "identifier" and node.parent is not None and node.parent.type == "import_clause":
            yield node_text(node), Binding(module, "default")


def _required_by(declarator: Node) -> Iterator[tuple[str, Binding]]:
    """Yield the names that `const x = require("m")` and `const { x } = await import("m")` declare."""
    value, pattern = declarator.child_by_field_name("value"), declarator.child_by_field_name("name")
    member = ""
    if value is not None and value.type == "await_expression":
        value = value.named_children[0] if value.named_children else None
    if value is not None and value.type == "member_expression":
        member = node_text(value.child_by_field_name("property"))
        value = value.child_by_field_name("object")
    if value is None or pattern is None or value.type != "call_expression":
        return
    module = _required_module(value)
    if module is None:
        return
    if pattern.type == "identifier":
        # A CommonJS module of Socket.IO is a function, so the module is its default export.
        yield node_text(pattern), Binding(module, member or "default")
    for node in descendants(pattern):
        if node.type == "shorthand_property_identifier_pattern":
            yield node_text(node), Binding(module, node_text(node))
        elif node.type == "pair_pattern":
            key, local = node.child_by_field_name("key"), node.child_by_field_name("value")
            yield node_text(local), Binding(module, node_text(key))


def _required_module(call: Node) -> str | None:
    """Return the module that `require("m")` or `import("m")` loads, None for any other call."""
    if node_text(call.child_by_field_name("function")) not in ("require", "import"):
        return None
    arguments = call.child_by_field_name("arguments")
    given = [each for each in arguments.named_children if each.type != "comment"] if arguments is not None else []
    return string_value(given[0]) if given else None


def _declared_names(source: SourceCode) -> frozenset[str]:
    """Return the names such as `WebSocket` and `io` that the file itself declares.

    In this file, such a name is not the browser's constructor or the library's function.
    """
    declared = (node.child_by_field_name(_DECLARATIONS[node.type]) for node in source.nodes(*_DECLARATIONS))
    return frozenset(map(node_text, declared)) & _GLOBAL_NAMES


def _called_api(call: Node, bindings: dict[str, Binding], declared: frozenset[str]) -> Api | None:
    owner, member = call.child_by_field_name("function"), ""
    if owner is not None and owner.type == "member_expression":
        member = node_text(owner.child_by_field_name("property"))
        owner = owner.child_by_field_name("object")
    if owner is None:
        return None
    if owner.type == "identifier":
        return _socket_io_by_name(node_text(owner), member, bindings, declared) or _client_api(
            node_text(owner), member, bindings
        )
    if owner.type == "call_expression":
        return _required_api(owner, member)
    return Api.SOCKET_IO if member == "connect" and node_text(owner) == "window.io" else None


def _required_api(call: Node, member: str) -> Api | None:
    """Return Api.SOCKET_IO for `require("socket.io-client")(...)` or its `.connect(...)`, None for other calls."""
    module = _required_module(call)
    connects = module is not None and _SOCKET_IO_MODULE.search(module) and member in ("", *_SOCKET_IO_EXPORTS)
    return Api.SOCKET_IO if connects else None


def _socket_io_by_name(name: str, member: str, bindings: dict[str, Binding], declared: frozenset[str]) -> Api | None:
    """Return Api.SOCKET_IO if a call of `name` or `name.member`, such as `io.connect`, opens a connection, else None.

    `member` is "" for a call of `name`. `declared` are names that the file itself declares, which hide global ones.
    """
    binding = bindings.get(name)
    if binding is None:
        is_global = name == "io" and "io" not in declared and member in ("", "connect")
        return Api.SOCKET_IO if is_global or (name in _GLOBALS and member == "io") else None
    if not _SOCKET_IO_MODULE.search(binding.module):
        return None
    if binding.export in ("*", "default"):
        connects = member in ("", *_SOCKET_IO_EXPORTS)  # also of a CommonJS module imported as a namespace
    else:
        connects = binding.export in _SOCKET_IO_EXPORTS and member in ("", "connect")
    return Api.SOCKET_IO if connects else None


def _client_api(name: str, member: str, bindings: dict[str, Binding]) -> Api | None:
    """Return the library whose client a call of `name` or `name.member` creates, None for other calls.

    Return Api.SUPABASE for `supabase.channel(...)`. `member` is "" for a call of `name`.
    """
    binding = bindings.get(name)
    if member == "channel" and (binding == _SUPABASE_CLIENT or re.search(r"supabase", name, re.I)):
        return Api.SUPABASE
    if binding is None:
        return None
    if (_package(binding.module), binding.export, member) == ("@stomp/stompjs", "Stomp", "client"):
        return Api.STOMP
    if binding.export in ("*", "default") and member:
        return _api_of(_FUNCTIONS, binding.module, member)
    return _api_of(_FUNCTIONS, binding.module, binding.export) if not member else None


def _constructed_api(call: Node, bindings: dict[str, Binding], declared: frozenset[str]) -> Api | None:
    constructor = call.child_by_field_name("constructor")
    if constructor is None:
        return None
    while constructor.type in ("parenthesized_expression", "as_expression") and constructor.named_children:
        constructor = constructor.named_children[0]
    name = node_text(constructor)
    if constructor.type == "member_expression":
        holder, member = (
            node_text(constructor.child_by_field_name("object")),
            constructor.child_by_field_name("property"),
        )
        if holder in bindings and bindings[holder].export in ("*", "default"):  # a CommonJS module is its default
            return _api_of(_CONSTRUCTORS, bindings[holder].module, node_text(member))  # new signalR.HubConnection...()
        name = node_text(member) if holder in _GLOBALS else name
    binding = bindings.get(name)
    if binding is not None:
        if _SOCKET_IO_MODULE.search(binding.module):
            # A function may be called with new: `new (io as any)(url)`.
            return Api.SOCKET_IO if binding.export in ("Manager", *_SOCKET_IO_EXPORTS) else None
        is_file = binding.export == "default" and _package(binding.module) in _WEBSOCKET_MODULES
        is_websocket = binding.module in _WEBSOCKET_MODULES or is_file
        return Api.WEBSOCKET if is_websocket else _api_of(_CONSTRUCTORS, binding.module, binding.export)
    if name in declared:
        return None
    return _GLOBAL_CONSTRUCTORS.get(name)
