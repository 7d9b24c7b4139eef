"""Test that no regular expression of the package takes more than linear time on hostile text.

The attacks are derived from each pattern: texts that repeat its atoms, its beginnings, and its beginnings followed by
the atom of each repeat, with a last character that does not match.
"""

import ast
import importlib
import pkgutil
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from types import ModuleType
from typing import Any, NamedTuple

import pytest

import wscheck
from wscheck.observe.logs.lazy_pattern import _LazyPattern
from wscheck.observe.logs.vocabulary import placeholder_markers

ROOT = Path(wscheck.__file__).parent
SEARCHING = frozenset({"search", "finditer", "findall", "sub", "subn", "split"})
METHODS = SEARCHING | {"match", "fullmatch"}

SCREENED, SCREEN_S = 2_048, 0.000_5
"""Size of the first text of an attack (characters), and the CPU time after which the attack is tried with more."""
SIZE, LIMIT_S = 65_536, 0.4

_MESSAGES = "wscheck.observe.logs.wording.messages."
LIMITED = {
    "wscheck.model.disconnect_reasons._SILENCE": "the first 1000 characters of a reason",
    f"{_MESSAGES}_KEYED_REASON": "a message of at most 2000 characters",
    f"{_MESSAGES}_CONTEXT_PAIR": "a part of a message of at most 2000 characters",
    f"{_MESSAGES}_OBJECT": "a message of at most 2000 characters",
    "wscheck.observe.traffic.identity._EVENT_RULE": "a setting",
    "wscheck.scenarios.auth_refused._JWT": "the token of the person who runs the scenario",
    r"wscheck.detect.causes.client_words: \bio\((?=[^)]*\))": "the text of a fix",
    r"wscheck.run.documentation: \[([^\]]+)\]\([^)]+\)": "the documents of the package",
}
"""Patterns that may take longer, because the text that they see is short or comes from the person who runs wscheck."""

PASSED_ON = {"_SOCKET_FORM": {"fullmatch"}, "_TAG": {"fullmatch"}, "_OWN_IDS": {"fullmatch"}}
"""Methods that are called on patterns after they were passed to a function or taken from a table."""

Apply = Callable[[Any], object]


# --- patterns ---------------------------------------------------------------------------------------------------------


def patterns() -> dict[tuple[str | bytes, int], tuple[str, set[str]]]:
    """Return the patterns of all modules, each with its place and the names of the methods that are called."""
    found: dict[tuple[str | bytes, int], tuple[str, set[str]]] = {}
    for info in pkgutil.walk_packages(wscheck.__path__, "wscheck."):
        # A Locust process patches the standard library when it imports these.
        if info.name.endswith("__main__") or info.name.startswith(("wscheck.load", "wscheck.locust")):
            continue
        module = importlib.import_module(info.name)
        tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
        called = _called_methods(tree)
        for name, value in list(vars(module).items()):
            for pattern in _patterns_in(value, 4):
                used = found.setdefault((pattern.pattern, pattern.flags), (f"{info.name}.{name}", set()))
                used[1].update(called.get(name, set()))
        for pattern, method in _literals(tree):
            used = found.setdefault((pattern.pattern, pattern.flags), (f"{info.name}: {pattern.pattern}", set()))
            used[1].add(method)
    return found


def _called_methods(tree: ast.AST) -> dict[str, set[str]]:
    """Return the names of the methods that a module calls or passes on, by the name of the object."""
    called = {name: set(methods) for name, methods in PASSED_ON.items()}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in METHODS and isinstance(node.value, ast.Name):
            called.setdefault(node.value.id, set()).add(node.attr)
    return called


def _patterns_in(value: Any, depth: int) -> Iterator[re.Pattern[Any]]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, _LazyPattern):
        yield re.compile(value._source, value._flags)
    elif depth and isinstance(value, dict):
        for each in (*value.keys(), *value.values()):
            yield from _patterns_in(each, depth - 1)
    elif depth and isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from _patterns_in(each, depth - 1)
    elif depth and type(value).__module__.startswith("wscheck.") and not isinstance(value, ModuleType | type):
        for name in (*getattr(type(value), "__slots__", ()), *getattr(value, "__dict__", ())):
            yield from _patterns_in(getattr(value, name, None), depth - 1)


def _literals(tree: ast.AST) -> Iterator[tuple[re.Pattern[Any], str]]:
    """Yield the patterns that are arguments of functions of `re`, with the name of the function."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or not node.args:
            continue
        function, first = node.func, node.args[0]
        is_of_re = isinstance(function.value, ast.Name) and function.value.id == "re" and function.attr in METHODS
        if is_of_re and isinstance(first, ast.Constant) and isinstance(first.value, str | bytes):
            given = [ast.unparse(each) for each in (*node.args[1:], *(key.value for key in node.keywords))]
            flags = sum(getattr(re, flag) for text in given for flag in re.findall(r"\bre\.([A-Z]+)", text))
            yield re.compile(first.value, flags), function.attr


# --- attacks ----------------------------------------------------------------------------------------------------------

_OF_CATEGORY = {
    codes.CATEGORY_DIGIT: "7",
    codes.CATEGORY_SPACE: " ",
    codes.CATEGORY_WORD: "a",
    codes.CATEGORY_NOT_DIGIT: "x",
    codes.CATEGORY_NOT_SPACE: "x",
    codes.CATEGORY_NOT_WORD: "-",
}


class _Sample:
    """A text that a pattern matches, and the texts before its repeats.

    choice   number of the branch and of the class member that is taken
    repeats  pairs (text before the repeat, text that is repeated)
    """

    def __init__(self, tree: Any, choice: int) -> None:
        self.choice, self.repeats = choice, list[tuple[str, str]]()
        self.text = self._sequence(tree, "")

    def _sequence(self, nodes: Any, before: str) -> str:
        text = ""
        for code, value in nodes:
            text += self._node(code, value, before + text)
        return text

    def _node(self, code: Any, value: Any, before: str) -> str:
        if code is codes.LITERAL:
            return chr(value)
        if code in {codes.ANY, codes.NOT_LITERAL}:
            return "b" if value == ord("a") else "a"
        if code is codes.IN:
            members = _members(value)
            return members[self.choice % len(members)]
        if code is codes.BRANCH:
            texts = [self._sequence(branch, before) for branch in value[1]]
            return texts[self.choice % len(texts)]
        if code is codes.SUBPATTERN:
            return self._sequence(value[3], before)
        if code is codes.ATOMIC_GROUP:
            return self._sequence(value, before)
        if code in {codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT}:
            return self._repeat(value[0], value[1], value[2], before)
        if code in {codes.ASSERT, codes.ASSERT_NOT}:
            text = self._sequence(value[1], before)
            return text if code is codes.ASSERT and value[0] < 0 else ""
        return "a" if code is codes.GROUPREF else ""

    def _repeat(self, least: int, most: Any, body: Any, before: str) -> str:
        unit = self._sequence(body, before)
        if unit and most > 20:
            only = body[0] if len(body) == 1 else (None, None)
            units = _members(only[1]) if only[0] is codes.IN else "a 7:" if only[0] is codes.ANY else (unit,)
            self.repeats += [(before[-60:], each) for each in units]
        return unit * max(int(least), min(1, int(most)))


def _members(items: Any) -> list[str]:
    """Return up to four characters of a class."""
    if items[0][0] is codes.NEGATE:
        text = "a7 -\"./:=(\\\nA[{,'@_%é"
        return [each for each in text if not any(_is_in(each, *item) for item in items[1:])][:3] or ["ÿ"]
    named = (_OF_CATEGORY.get(value, "a") if code is codes.CATEGORY else None for code, value in items)
    firsts = (
        chr(value[0] if code is codes.RANGE else value) if code is not codes.CATEGORY else "" for code, value in items
    )
    return [name or first for name, first in zip(named, firsts, strict=True)][:4]


def _is_in(character: str, code: Any, value: Any) -> bool:
    if code is codes.CATEGORY:
        return _OF_CATEGORY.get(value) == character or (value is codes.CATEGORY_WORD and character.isalnum())
    low, high = value if code is codes.RANGE else (value, value)
    return bool(low <= ord(character) <= high)


class Attack(NamedTuple):
    """A hostile text: a beginning, a text that is repeated, and an end that the pattern does not match."""

    before: str
    unit: str
    end: str

    def text(self, size: int) -> str:
        """Return a text of about the given length."""
        return self.before + self.unit * (size // len(self.unit)) + self.end


def attacks(pattern: re.Pattern[Any]) -> Iterator[Attack]:
    """Yield the attacks on a pattern."""
    source = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    tree = parser.parse(source, pattern.flags & ~re.UNICODE)
    samples = [_Sample(tree, choice) for choice in range(4)]
    units = {sample.text[:length] for sample in samples for length in range(1, min(len(sample.text), 40) + 1)}
    units |= {piece for sample in samples for piece in re.findall(r"\w+|\W|\w", sample.text)[:20]}
    pairs = {pair for sample in samples for pair in sample.repeats}
    units |= {unit for _, unit in pairs} | {before + unit for before, unit in pairs}
    for unit in sorted(units):
        yield Attack("", unit, "\0")
    for before, unit in sorted(pairs):
        yield Attack(before, unit, "\0")
        yield Attack("", before + unit * 40, "!")


def applications(pattern: re.Pattern[Any], methods: set[str]) -> list[Apply]:
    """Return the uses of the pattern to measure. A pattern with unknown uses is searched for."""
    used = [getattr(pattern, name) for name in ("match", "fullmatch") if name in methods]
    return [*used, lambda text: list(pattern.finditer(text))] if methods & SEARCHING or not used else used


class _TooLong(BaseException):
    """Interruption of a regular expression."""


def seconds(apply: Apply, text: str | bytes) -> float:
    """Return the CPU time that a use of a pattern takes, `LIMIT_S` if it takes longer than that."""

    def interrupt(*_: object) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGPROF, interrupt)
    signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
    start = time.process_time()
    try:
        apply(text)
    except _TooLong:
        return LIMIT_S
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    return time.process_time() - start


def slowest(pattern: re.Pattern[Any], methods: set[str]) -> tuple[float, str]:
    """Return the CPU time of the first attack that reaches `LIMIT_S` and the start of its text; (0, "") without one."""
    for attack in attacks(pattern):
        for apply in applications(pattern, methods):
            for size, limit in ((SCREENED, SCREEN_S), (SIZE, LIMIT_S)):
                text: Any = (
                    attack.text(size)
                    if isinstance(pattern.pattern, str)
                    else attack.text(size).encode("latin-1", "replace")
                )
                # The second try is for a measurement that something else on the machine disturbed.
                if seconds(apply, text) < limit or seconds(apply, text) < limit:
                    break
            else:
                return LIMIT_S, repr(text[:120])
    return 0.0, ""


needs_timer = pytest.mark.skipif(not hasattr(signal, "SIGPROF"), reason="needs a timer of CPU time")


@needs_timer
def test_no_pattern_takes_more_than_linear_time() -> None:
    slow = {}
    for (source, flags), (place, methods) in patterns().items():
        taken, text = slowest(re.compile(source, flags), methods) if place not in LIMITED else (0.0, "")
        if taken:
            slow[place] = text
    assert slow == {}


@needs_timer
@pytest.mark.parametrize("source", [r"\w+=", "(a|aa)+$", "<b>(.*?)</b>"])
def test_the_attacks_find_patterns_that_take_longer(source: str) -> None:
    assert slowest(re.compile(source), {"search"})[0] == LIMIT_S


@needs_timer
def test_patterns_for_the_own_texts_of_a_log_take_linear_time() -> None:
    markers = [("connected", "{user} joined as {sid}"), ("disconnected", "bye {user}:{sid} because {reason}")]
    for marker in placeholder_markers(markers):
        for pattern in (marker._shortest, marker._longest):
            assert slowest(pattern, {"match"}) == (0.0, "")
