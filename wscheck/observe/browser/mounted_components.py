"""Mounted components of a page, and the positions of the functions that they run, without changes to the page.

The frameworks keep their component trees in properties of DOM nodes: React its fibers, Vue its instances, Preact its
virtual nodes, Angular (in development) its components. A custom element is its own component. The functions of a
component are the component itself and its effects. The debugger knows the position of each function.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from wscheck.observe.browser.devtools import BrowserEnded, CommandFailed, DevToolsConnection, page_value

MAX_FUNCTIONS = 400
"""Largest number of different functions of one page whose positions are read."""

MAX_SCOPE = 12
"""Largest number of functions in the scope of a wrapper."""

OBJECT_GROUP = "wscheck-components"

# Vue wraps each hook, so that only the scope of the wrapper leads to the hook itself.
COLLECT = """(() => {
  const MAX_NODES = 20000, MAX_COMPONENTS = 5000;
  const names = [], frameworks = new Set(), found = new Map(), types = new Map(), seen = new Set();
  const text = f => { try { return Function.prototype.toString.call(f) } catch { return '' } };
  function add(framework, type, name, functions, wrapped = []) {
    if (names.length >= MAX_COMPONENTS) return;
    frameworks.add(framework);
    const index = names.push(typeof name === 'string' ? name.slice(0, 80) : '') - 1;
    if (!types.has(type)) types.set(type, types.size);
    for (const [list, isWrapped] of [[functions, false], [wrapped, true]]) {
      for (const f of new Set(list)) {
        const source = typeof f === 'function' && text(f);
        if (!source || source.endsWith('{ [native code] }')) continue;
        // Vue's wrappers have one text, so each of them is examined.
        const key = isWrapped ? f : types.get(type) + ':' + source;
        if (!found.has(key)) {
          const lines = source.split('\\n');
          found.set(key, {f, wrapped: isWrapped, owners: [], lines: lines.length - 1, last: lines.at(-1).length});
        }
        found.get(key).owners.push(index);
      }
    }
  }
  function react(root) {
    const waiting = [root];
    while (waiting.length && names.length < MAX_COMPONENTS) {
      const fiber = waiting.pop();
      if (fiber.sibling) waiting.push(fiber.sibling);
      if (fiber.child) waiting.push(fiber.child);
      const type = typeof fiber.type === 'function' ? fiber.type : fiber.type && fiber.type.render;
      frameworks.add('react');
      if (typeof type !== 'function') continue;
      const functions = [type], last = fiber.updateQueue && fiber.updateQueue.lastEffect;
      for (let effect = last; effect && functions.length < 200;) {
        functions.push(effect.create);
        effect = effect.next === last ? null : effect.next;
      }
      add('react', type, type.displayName || type.name, functions);
    }
  }
  function vue(root) {
    const waiting = [root];
    frameworks.add('vue');
    while (waiting.length && names.length < MAX_COMPONENTS) {
      const node = waiting.pop(), instance = node && node.component;
      if (!node || typeof node !== 'object') continue;
      if (Array.isArray(node.children)) waiting.push(...node.children);
      if (node.suspense) waiting.push(node.suspense.activeBranch);
      if (!instance || seen.has(instance)) continue;
      seen.add(instance);
      const type = instance.type;
      const options = [type.setup, type.render, type.created, type.mounted, type.beforeMount];
      const direct = typeof type === 'function' ? [type] : options;
      const hooks = [instance.bm, instance.m, instance.a].flatMap(list => list || []);
      add('vue', type, type.name || type.__name || '', direct, hooks);
      waiting.push(instance.subTree);
    }
  }
  function vue2(instance) {
    const waiting = [instance];
    frameworks.add('vue');
    while (waiting.length && names.length < MAX_COMPONENTS) {
      const vm = waiting.pop(), options = vm.$options || {};
      const hooks = [options.beforeCreate, options.created, options.beforeMount, options.mounted, options.activated];
      add('vue', vm.constructor, options.name || options._componentTag, [options.setup, options.data, ...hooks.flat()]);
      waiting.push(...(vm.$children || []));
    }
  }
  function preact(root) {
    const waiting = [root];
    frameworks.add('react');
    while (waiting.length && names.length < MAX_COMPONENTS) {
      const node = waiting.pop();
      if (!node || typeof node !== 'object') continue;
      if (Array.isArray(node.__k)) waiting.push(...node.__k);
      if (typeof node.type !== 'function' || !node.__c) continue;
      const states = (node.__c.__H && node.__c.__H.__) || [];
      const effects = states.flatMap(state => Object.values(state || {}).filter(f => typeof f === 'function'));
      add('react', node.type, node.type.displayName || node.type.name, [node.type, ...effects]);
    }
  }
  const nodes = [document];
  for (let at = 0; at < nodes.length && at < MAX_NODES; at++) {
    const node = nodes[at];
    for (const child of node.children || []) nodes.push(child);
    if (node.shadowRoot) for (const child of node.shadowRoot.children) nodes.push(child);
    for (const key of Object.keys(node)) {
      const value = node[key];
      if (!value || typeof value !== 'object' || seen.has(value)) continue;
      const root = key.startsWith('__reactContainer$') ? value.stateNode && value.stateNode.current
        : key === '_reactRootContainer' ? (value._internalRoot || value).current : null;
      if (root && !seen.has(root)) { seen.add(root); react(root) }
      else if (key === '_vnode') { seen.add(value); vue(value) }
      else if (key === '__vue__' && value.$root === value) { seen.add(value); vue2(value) }
      else if (key === '__k' && !Array.isArray(value) && value.__k) { seen.add(value); preact(value) }
    }
    if (node.localName && node.localName.includes('-') && customElements.get(node.localName))
      add('element', node.constructor, node.constructor.name, [node.constructor]);
    const component = window.ng && window.ng.getComponent && node.localName && window.ng.getComponent(node);
    if (component) add('angular', component.constructor, component.constructor.name, [component.constructor]);
  }
  const entries = [...found.values()].slice(0, MAX_FUNCTIONS);
  return {names, frameworks: [...frameworks], functions: entries.map(e => e.f),
          entries: entries.map(({wrapped, owners, lines, last}) => ({wrapped, owners, lines, last}))};
})()""".replace("MAX_FUNCTIONS", str(MAX_FUNCTIONS))

DATA = "function() { return {names: this.names, frameworks: this.frameworks, entries: this.entries} }"
FUNCTIONS = "function() { return this.functions }"
TEXT_EXTENT = """function() {
  const lines = Function.prototype.toString.call(this).split('\\n');
  return {lines: lines.length - 1, last: lines.at(-1).length};
}"""

Position = tuple[int, int]
"""Line and column of a script, both from 0."""


class ComponentFunction(msgspec.Struct, frozen=True):
    """Function that mounted components run, from `start` to `end` in a script.

    owners  indexes of these components in `MountedComponents.names`
    """

    script_id: str
    start: Position
    end: Position
    owners: tuple[int, ...]

    def contains(self, script_id: str, position: Position) -> bool:
        """Return whether a position is within the function."""
        return script_id == self.script_id and self.start <= position <= self.end

    @property
    def size(self) -> Position:
        """Extent as (lines, columns) from start to end. The innermost of nested functions has the smallest size."""
        return self.end[0] - self.start[0], self.end[1] - self.start[1]


class MountedComponents(msgspec.Struct, frozen=True):
    """Mounted components of one page, and the frameworks whose component trees were found."""

    names: tuple[str, ...] = ()
    frameworks: frozenset[str] = frozenset()
    functions: tuple[ComponentFunction, ...] = ()

    def running(self, frames: Iterable[tuple[str, Position]]) -> tuple[int, tuple[str, ...]]:
        """Return the number and the names of the components that run the code in a stack.

        These are the components of the innermost frame that is within a function of a component. Return (0, ()) if
        there is no such frame.

        frames  script id and position of each frame of the stack, the innermost first
        """
        for script_id, position in frames:
            around = [each for each in self.functions if each.contains(script_id, position)]
            if around:
                start = min(around, key=lambda each: each.size).start
                owners = {owner for each in around if each.start == start for owner in each.owners}
                names = dict.fromkeys(self.names[owner] for owner in sorted(owners))
                return len(owners), tuple(name for name in names if name)
        return 0, ()


async def read_mounted_components(
    devtools: DevToolsConnection, session: str, contexts: Sequence[int]
) -> MountedComponents:
    """Return the components that are mounted in the JavaScript contexts of a page, none if the page is gone."""
    merged = MountedComponents()
    for context in contexts:
        try:
            found = await _ContextReader(devtools, session, context).read()
        except (CommandFailed, BrowserEnded, KeyError):
            continue
        offset = len(merged.names)
        moved = tuple(
            msgspec.structs.replace(each, owners=tuple(owner + offset for owner in each.owners))
            for each in found.functions
        )
        merged = MountedComponents(
            merged.names + found.names, merged.frameworks | found.frameworks, merged.functions + moved
        )
    return merged


class _Extent(msgspec.Struct, frozen=True):
    """Extent of the text of a function.

    lines  number of line breaks in the text
    last   length of the last line
    """

    lines: int
    last: int


class _Entry(_Extent, frozen=True, kw_only=True):
    """Data about one function that mounted components run: the component itself, a hook or an effect.

    wrapped  True if the function is a wrapper by the framework around the original function
    owners   indexes in `MountedComponents.names` of the components that run it
    """

    wrapped: bool
    owners: list[int]


class _Data(msgspec.Struct, frozen=True):
    """Data that the JavaScript `COLLECT` found in a page, without the function objects."""

    names: list[str]
    frameworks: list[str]
    entries: list[_Entry]

    def __post_init__(self) -> None:
        if any(not 0 <= owner < len(self.names) for entry in self.entries for owner in entry.owners):
            raise ValueError("the owner of a function is no component")


class _ContextReader:
    """Reader of the components of one JavaScript context, in the session of its page."""

    def __init__(self, devtools: DevToolsConnection, session: str, context: int) -> None:
        self._devtools = devtools
        self._session = session
        self._context = context

    async def read(self) -> MountedComponents:
        """Return the components of the context.

        Raises:
            CommandFailed: The context has ended.
        """
        evaluated = await self._call(
            "Runtime.evaluate", expression=COLLECT, contextId=self._context, objectGroup=OBJECT_GROUP, silent=True
        )
        state = evaluated["result"]["objectId"]
        data = page_value(await self._call_on(state, DATA, by_value=True), _Data)
        functions_id = (await self._call_on(state, FUNCTIONS, by_value=False))["objectId"]
        listed = (await self._properties(functions_id))["result"]
        objects = [object_id for _, object_id in _objects(listed)]
        found = await asyncio.gather(*map(self._component_functions, objects, data.entries))
        self._devtools.send("Runtime.releaseObjectGroup", {"objectGroup": OBJECT_GROUP}, self._session)
        functions = tuple(function for group in found for function in group)
        return MountedComponents(tuple(data.names), frozenset(data.frameworks), functions)

    async def _call(self, method: str, **params: Any) -> dict[str, Any]:
        return await self._devtools.call(method, params, self._session)

    async def _call_on(self, object_id: str, function: str, by_value: bool) -> dict[str, Any]:
        group = {} if by_value else {"objectGroup": OBJECT_GROUP}
        arguments = {"objectId": object_id, "functionDeclaration": function, "returnByValue": by_value, "silent": True}
        result: dict[str, Any] = (await self._call("Runtime.callFunctionOn", **arguments, **group))["result"]
        return result

    async def _properties(self, object_id: str) -> dict[str, Any]:
        return await self._call("Runtime.getProperties", objectId=object_id, ownProperties=True)

    async def _component_functions(self, object_id: str, entry: "_Entry") -> list[ComponentFunction]:
        try:
            if not entry.wrapped:
                found = [await self._located(object_id, entry, entry.owners)]
            else:
                inner = await self._unwrapped(object_id)
                extents = [page_value(await self._call_on(each, TEXT_EXTENT, by_value=True), _Extent) for each in inner]
                found = [
                    await self._located(each, extent, entry.owners) for each, extent in zip(inner, extents, strict=True)
                ]
        except CommandFailed:
            return []
        return [each for each in found if each is not None]

    async def _located(self, object_id: str, extent: "_Extent", owners: Sequence[int]) -> ComponentFunction | None:
        """Return the function object `object_id` with its position in its script, None if its location is unknown."""
        for prop in (await self._properties(object_id)).get("internalProperties", []):
            if prop["name"] == "[[FunctionLocation]]":
                at = prop["value"]["value"]
                start = at["lineNumber"], at.get("columnNumber", 0)
                column = extent.last + (start[1] if extent.lines == 0 else 0)
                return ComponentFunction(at["scriptId"], start, (start[0] + extent.lines, column), tuple(owners))
        return None

    async def _unwrapped(self, object_id: str) -> list[str]:
        """Return the object ids of the functions inside a wrapper by Vue, which may wrap a function twice."""
        layer = await self._scoped(object_id)
        deeper = [await self._scoped(each) for each in layer]
        return [*layer, *(inner for group in deeper for inner in group)]

    async def _scoped(self, object_id: str) -> list[str]:
        """Return the object ids of the functions that are variables in the innermost scope of a function.

        Return an empty list if there are more than `MAX_SCOPE`, because the scope is then that of a module.
        """
        for prop in (await self._properties(object_id)).get("internalProperties", []):
            if prop["name"] == "[[Scopes]]":
                scopes = _objects((await self._properties(prop["value"]["objectId"]))["result"])
                scope = (await self._properties(scopes[0][1]))["result"] if scopes else []
                functions = [object_id for kind, object_id in _objects(scope) if kind == "function"]
                return functions if len(functions) <= MAX_SCOPE else []
        return []


def _objects(properties: Iterable[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return (type, object id) of each property that is an object. The elements of an array are in order."""
    return [
        (each["value"]["type"], each["value"]["objectId"])
        for each in properties
        if "objectId" in each.get("value", {}) and each.get("enumerable", True)
    ]
