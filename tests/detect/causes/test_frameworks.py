"""Stacks of real builds of Vue, Svelte, Solid and Angular (docs/browser.md), and the fixes in their terms."""

import pytest

from tests.conversation import user
from tests.detect.causes.test_signatures import cause
from wscheck.detect.causes import CATALOGUE, FRAMEWORK_FIXES
from wscheck.detect.stack_frames import framework_name
from wscheck.model.events import CodeLocation
from wscheck.model.findings import Cause

VUE, REACTIVITY = "node_modules/@vue/runtime-core/dist/runtime-core.esm-bundler.js", "node_modules/@vue/reactivity/r.js"
SVELTE, SOLID = "node_modules/svelte/src/internal/client/runtime.js", "node_modules/solid-js/dist/solid.js"
ANGULAR = "node_modules/@angular/core/fesm2022/_debug_node-chunk.mjs"

Frames = tuple[CodeLocation, ...]


def ran(file: str, *functions: str) -> Frames:
    return tuple(CodeLocation(file, line, 9, function) for line, function in enumerate(functions, start=4827))


TEMPLATES: dict[str, Frames] = {
    "vue": (
        CodeLocation("src/Status.vue", 7, 18, "status"),
        CodeLocation("src/Status.vue", 14, 23),
        *ran(VUE, "renderComponentRoot", "s"),
        *ran(REACTIVITY, "run", "runIfDirty"),
    ),
    "vue, computed": (CodeLocation("src/Status.vue", 6, 31), *ran(REACTIVITY, "refreshComputed", "get value")),
    "svelte": (
        CodeLocation("src/Status.svelte", 7, 20, "connect"),
        CodeLocation("src/Status.svelte", 12, 11),
        *ran(SVELTE, "update_reaction", "execute_derived", "update_derived"),
    ),
    "solid": (
        CodeLocation("src/Status.tsx", 8, 20, "status"),
        *ran("node_modules/solid-js/web/dist/web.js", ""),
        *ran(SOLID, "runComputation", "updateComputation", "runTop"),
    ),
    "angular": (
        CodeLocation("src/app/status.component.ts", 9, 20, "status"),
        CodeLocation("src/app/status.component.ts", 5, 25, "template"),
        *ran(ANGULAR, "executeTemplate", "refreshView"),
    ),
}

COMPONENTS: dict[str, Frames] = {
    "vue": (CodeLocation("src/Chat.vue", 7, 16, "setup"), *ran(VUE, "callWithErrorHandling", "setupStatefulComponent")),
    "svelte": (CodeLocation("src/Chat.svelte", 7, 20), *ran(SVELTE, "update_reaction", "update_effect", "flush")),
    "solid": (CodeLocation("src/Chat.tsx", 7, 18), *ran(SOLID, "", "untrack", "", "runComputation")),
    "angular": (
        CodeLocation("src/app/chat.component.ts", 9, 19),
        *ran(ANGULAR, "getNodeInjectable", "instantiateAllDirectives", "createDirectivesInstances", "Et"),
        CodeLocation("src/app/app.component.ts", 3, 55, "template"),
        *ran(ANGULAR, "executeTemplate", "renderView"),
    ),
}


def cause_of_stack(stack: Frames) -> Cause:
    """Return the cause of three connections that one page opened one after the other, from one stack."""
    conversation = user("A", page="tab-1")
    for n in range(3):
        conversation.connects(f"s{n}", at=float(n), opener=stack[0], stack=stack)
    found = cause(conversation.watched(until=60))
    assert found is not None
    return found


@pytest.mark.parametrize("stack", TEMPLATES.values(), ids=TEMPLATES)
def test_io_in_a_template_is_recognised_by_the_frame_that_ran_it(stack: Frames) -> None:
    found = cause_of_stack(stack)
    assert (found.id, found.confidence) == ("io-in-render", "high")
    assert found.fix == FRAMEWORK_FIXES[framework_name(stack) or ""]["io-in-render"]


@pytest.mark.parametrize("stack", COMPONENTS.values(), ids=COMPONENTS)
def test_a_component_created_by_the_template_of_another_is_not_io_in_render(stack: Frames) -> None:
    found = cause_of_stack(stack)
    assert found.id == "unmount-without-cleanup"
    assert found.fix == FRAMEWORK_FIXES[framework_name(stack) or ""]["unmount-without-cleanup"]


def test_without_a_framework_the_catalogues_fix_is_used() -> None:
    react = (
        CodeLocation("src/Chat.tsx", 7, 20),
        CodeLocation("node_modules/react-dom/index.js", 1, 1, "commitHookEffectListMount"),
    )
    assert framework_name(react) == "react"
    for stack in (react, (CodeLocation("http://h/app.js", 1, 700),)):
        assert cause_of_stack(stack).fix == CATALOGUE["unmount-without-cleanup"].fix


def test_every_framework_has_fixes_for_the_same_causes() -> None:
    assert {frozenset(words) for words in FRAMEWORK_FIXES.values()} == {frozenset(FRAMEWORK_FIXES["vue"])}
    assert FRAMEWORK_FIXES["vue"].keys() <= CATALOGUE.keys()
    texts = [text for words in FRAMEWORK_FIXES.values() for text in words.values()]
    assert not [text for text in texts if "useEffect" in text or "hook" in text or not text.endswith(".")]
