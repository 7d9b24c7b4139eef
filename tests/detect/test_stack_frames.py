"""Classification of stack frames, also in a bundle without a source map."""

import time

import pytest

from wscheck.detect.stack_frames import (
    app_frames,
    attribute_to_package,
    calling_package,
    divergence,
    framework_name,
    is_client_frame,
    is_framework_frame,
    is_library_frame,
    location_label,
    resolve_root,
    runs_while_rendering_on_server,
    server_framework,
    tag_bundled_client,
)
from wscheck.model.events import CodeLocation

BUNDLE = "http://localhost/app.js"
MANAGER = ("createSocket", "doOpen", "open", "_open", "t", "open")


def stack(*names: str, file: str = BUNDLE) -> tuple[CodeLocation, ...]:
    """Return frames of one bundle, each in its own column."""
    return tuple(CodeLocation(file, 9, 100 + 10 * column, name) for column, name in enumerate(names))


def own(*names: str) -> list[str]:
    return [place.function for place in app_frames(tag_bundled_client(stack(*names)))]


def test_by_websocket_the_caller_of_io_is_the_first_application_frame() -> None:
    assert own(*MANAGER, "Vl", "ml", "useBot", "Va") == ["useBot", "Va"]
    assert own(*MANAGER, "Manager", "lookup", "connect", "useEffect") == ["connect", "useEffect"]


def test_by_polling_the_caller_of_io_is_the_first_application_frame() -> None:
    polling = ("_create", "t", "request", "doPoll", "_poll", "doOpen", "open", "_open", "t", "open")
    assert own(*polling, "Vl", "ml", "useBot") == ["useBot"]


def test_with_an_older_client_whose_socket_opens_under_the_same_name() -> None:
    assert own("doOpen", "open", "open", "e", "open", "n", "r", "useBot") == ["useBot"]


def test_in_the_librarys_own_minified_file_at_any_address() -> None:
    """Frames as in socket.io.min.js 4.8: methods with their object, and the engine's `open` under another name."""
    manager = ("i.createSocket", "r.doOpen", "i.open", "i.X", "n", "i.open", "n")
    assert own(*manager, "$t", "useBot") == ["useBot"]
    assert own(*manager, "$t", "open", "open") == ["open", "open"], "the application's may be called so as well"
    assert own(*manager[:-1], "n.connect", "onKick") == ["onKick"]
    assert own(*manager[:-1], "") == []


def test_the_caller_of_connect_on_a_socket_is_the_opener() -> None:
    assert own(*MANAGER, "connect", "onKick") == ["onKick"]


def test_a_reconnection_by_the_librarys_timer_has_no_opener() -> None:
    assert own(*MANAGER, "") == []


def test_a_call_of_io_is_distinguished_from_a_reconnection() -> None:
    opened, again = tag_bundled_client(stack(*MANAGER, "Vl", "ml", "useBot")), tag_bundled_client(stack(*MANAGER, ""))
    assert [place.file.endswith("/index.js") for place in opened if is_client_frame(place)] == [False] * 7 + [True]
    assert not any(place.file.endswith("/index.js") for place in again)
    assert all(is_client_frame(place) for place in again)


def test_mapped_frames_and_other_frames_stay_as_they_are() -> None:
    for frames in (stack(*MANAGER, "Vl", "ml", "useBot", file="src/a.ts"), stack("open", "useBot"), ()):
        assert tag_bundled_client(frames) == frames


def test_two_callers_in_one_bundle_are_distinguished() -> None:
    first, second = (
        tag_bundled_client((*stack(*MANAGER, "Vl", "ml"), CodeLocation(BUNDLE, 9, column, "")))
        for column in (80906, 81251)
    )
    assert divergence(first, second) == CodeLocation(BUNDLE, 9, 80906, "")


def test_frames_beyond_the_framework_do_not_distinguish_stacks() -> None:
    react, hook, page = (
        CodeLocation(file, 1, 1) for file in ("node_modules/react-dom/index.js", "src/hook.ts", "src/page.ts")
    )
    assert divergence((hook, react, page), (hook, react)) is None


def test_the_framework_below_the_first_frame_ends_no_stack() -> None:
    react, hook, other = (
        CodeLocation(file, 1, 1) for file in ("node_modules/react/index.js", "src/hook.ts", "src/other.ts")
    )
    assert divergence((react, hook), (react, other)) == hook


def test_code_that_injects_an_angular_service_is_the_opener() -> None:
    service, dashboard, wizard, page = (
        CodeLocation(f"src/app/{name}.ts", 8, 28, "<instance_members_initializer>")
        for name in ("bot-socket.service", "dashboard.component", "wizard.component", "app.component")
    )
    angular = "node_modules/@angular/core/fesm2022/_debug_node-chunk.mjs"
    asked = stack("getNodeInjectable", "getOrCreateInjectable", "ɵɵinject", "inject2", file=angular)
    made = stack("getNodeInjectable", "instantiateAllDirectives", file=angular)
    first, second = ((service, *asked, one, *made, page) for one in (dashboard, wizard))
    assert (divergence(first, second), divergence(second, first)) == (dashboard, wizard)
    assert divergence((service, *made, page), (service, *made, dashboard)) is None


def test_without_maps_a_script_with_many_consecutive_frames_is_the_frameworks() -> None:
    """Vue 3 and its router in index.js, the application's parts in separate files.

    One component is created twice, and two components use shared code.
    """
    leak, view, one, two = (
        CodeLocation(f"http://h/assets/{name}.js", 1, 204) for name in ("leak", "useSocket", "One", "Two")
    )
    vue = stack("mn", "Ba", "za", "k", "ie", "v", "s", file="http://h/assets/index.js")
    router = stack("install", "use", file="http://h/assets/index.js")
    assert divergence((leak, *vue, *router), (leak, *vue)) is None
    assert divergence((view, one, *vue), (view, two, *vue)) == one
    assert divergence((leak, *router), (leak, one)) == router[0], "an application's own, few as they are"


def test_a_longer_stack_diverges_where_the_shorter_ends() -> None:
    shared, caller = CodeLocation("src/shared.ts", 1, 1), CodeLocation("src/caller.ts", 2, 1)
    assert divergence((shared, caller), (shared,)) == caller
    assert divergence((shared,), (shared, caller)) is None


@pytest.mark.parametrize("build", ["darwin_arm64-fastbuild-ST-199a4f3c4e20", "bazel-out/k8-fastbuild-ST-1/", "k8-opt"])
def test_a_file_of_angular_has_the_path_of_angulars_own_build(build: str) -> None:
    frame = CodeLocation(f"{build.rstrip('/')}/bin/packages/core/src/render3/di.ts", 9, 1, "getNodeInjectable")
    named = attribute_to_package(frame, "http://h/main.js")
    assert named.file == "node_modules/@angular/core/src/render3/di.ts" and framework_name([named]) == "angular"
    assert is_library_frame(CodeLocation("ng:/TideFeed/fac.js", 3, 1, "TideFeed_Factory"))
    mine = CodeLocation("packages/core/src/feed.ts", 9, 1, "open")
    assert attribute_to_package(mine, "http://h/main.js") == mine


def test_a_served_client_script_is_the_clients_whatever_its_map_says() -> None:
    script = "http://localhost:8000/socket.io/socket.io.js?v=4"
    manager = attribute_to_package(CodeLocation("build/esm-debug/manager.js", 115, 23, "open"), script)
    assert is_client_frame(manager) and app_frames([manager]) == ()
    mine = CodeLocation("src/manager.ts", 5, 1, "open")
    assert attribute_to_package(mine, "http://localhost:8000/app.js") == mine


@pytest.mark.parametrize(
    ("script", "file"),
    [
        ("http://h/node_modules/.vite/deps/vue.js?v=1", "@vue/runtime-core/dist/runtime-core.esm-bundler.js"),
        ("http://h/node_modules/.vite/deps/vue-router.js?v=1", "vue-router/dist/vue-router.js"),
        ("http://h/@fs/repo/node_modules/.vite/deps/pinia.js?v=1", "pinia/dist/pinia.js"),
        ("http://h/_nuxt/node_modules/.cache/vite/client/deps/vue.js?v=1", "@vue/reactivity/dist/reactivity.js"),
        ("http://h/_nuxt/@fs/repo/node_modules/@vue/runtime-core/dist/runtime-core.js?v=1", "runtime-core.js"),
        ("http://h/@fs/repo/.angular/cache/21/app/vite/deps/@angular_router.js?v=1", "packages/router/src/router.ts"),
    ],
)
def test_libraries_prebundled_by_a_development_server_are_libraries(script: str, file: str) -> None:
    """Their source maps do not name node_modules, as with Vite 8."""
    mine = attribute_to_package(CodeLocation(file, 4, 5, "run"), script)
    assert is_library_frame(mine) and (is_framework_frame(mine) or "pinia" in script or ".angular" in script)
    assert not is_library_frame(
        attribute_to_package(CodeLocation("src/app.ts", 4, 5, "run"), "http://h/src/app.ts?t=1")
    )


@pytest.mark.parametrize(
    "file",
    [
        "node_modules/.pnpm/rxjs@7/node_modules/rxjs/src/Observable.ts",
        "react-dom/cjs/react-dom-client.development.js",
        "https://unpkg.com/react-dom@18/umd/react-dom.development.js",
        "http://h/vendor/react.production.min.js",
        "@vite/client",
        "@solid-refresh",
        "http://h/_next/static/chunks/webpack-4bd2.js",
        "[turbopack]/browser/runtime/base/runtime-base.ts",
    ],
)
def test_library_frames_are_recognised_by_file(file: str) -> None:
    assert is_library_frame(CodeLocation(file, 1, 1, "run"))


@pytest.mark.parametrize(
    "name", ["__webpack_require__", "options.factory", "./src/a.ts", "(app-pages-browser)/./src/a.ts"]
)
def test_bundler_frames_are_recognised_by_function(name: str) -> None:
    assert is_library_frame(CodeLocation(BUNDLE, 1, 1, name))


@pytest.mark.parametrize(
    "function", ["./src/a.ts", "(app-pages-browser)/./src/a.ts", "./node_modules/x!./src/a.ts?vue"]
)
def test_the_code_of_a_module_is_not_the_bundlers_although_its_function_has_the_modules_name(function: str) -> None:
    assert not is_library_frame(CodeLocation("src/a.ts", 5, 1, function))
    assert is_library_frame(CodeLocation("webpack/bootstrap", 5, 1, function))


@pytest.mark.parametrize(
    "file",
    ["libs/react/src/useSocket.ts", "src/vue/socket.ts", "http://h/react/app.js", "src/scheduler.js", "src/react.ts"],
)
def test_an_application_folder_may_have_the_name_of_a_library(file: str) -> None:
    assert not is_library_frame(CodeLocation(file, 1, 1, "open"))


@pytest.mark.parametrize(
    ("place", "called"),
    [
        (CodeLocation("src/hooks/useBot.ts", 5, 3, "useBot"), "useBot"),
        (CodeLocation("src/hooks/useBot.ts", 5, 3, ""), "useBot"),
        (CodeLocation("src/hooks/useBot.ts", 5, 3, "t"), "useBot"),
        (CodeLocation("src/hooks/useBot/index.ts", 5, 3, ""), "useBot"),
        (CodeLocation("src/components/Dashboard.vue", 4, 25, "setup"), "Dashboard"),
        (CodeLocation("src/lib/Chat.svelte", 4, 25, "$effect"), "Chat"),
        (CodeLocation("src/app/bot-socket.service.ts", 8, 28, "<instance_members_initializer>"), "bot-socket.service"),
        (CodeLocation("src/app/(dashboard)/dashboard/page.tsx", 5, 3, ""), "dashboard"),
        (CodeLocation("src/services/socket.ts", 2, 23, "module evaluation"), "socket"),
        (CodeLocation("webpack-internal/services/socket.ts", 2, 23, "eval"), "socket"),
        (CodeLocation("http://h/index.js", 9, 3, ""), "index"),
        (CodeLocation("index.ts", 9, 3, ""), "index"),
    ],
)
def test_a_location_has_a_short_label(place: CodeLocation, called: str) -> None:
    assert location_label(place) == called


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("src/hooks/useBot.ts", "web/app/src/hooks/useBot.ts"),
        ("web/app/src/page.tsx", "web/app/src/page.tsx"),  # a path relative to the working directory
        ("/srv/other/src/page.tsx", "/srv/other/src/page.tsx"),
        ("http://h/app.js", "http://h/app.js"),
        ("node_modules/react-dom/index.js", "node_modules/react-dom/index.js"),
        ("react-dom/index.js", "react-dom/index.js"),
    ],
)
def test_a_frontend_in_a_folder_is_named_from_the_root_of_the_checkout(file: str, expected: str) -> None:
    assert resolve_root(CodeLocation(file, 3, 4, "f"), "web/app") == CodeLocation(expected, 3, 4, "f")
    assert resolve_root(CodeLocation(file, 3, 4, "f"), "") == CodeLocation(file, 3, 4, "f")


REACT = CodeLocation("node_modules/react-dom/client.js", 1, 1, "renderWithHooks")
EFFECT = CodeLocation("node_modules/react-dom/client.js", 1, 1, "commitHookEffectListMount")
PAGE = CodeLocation("src/app/page.tsx", 7, 3, "Page")


@pytest.mark.parametrize(
    ("stack", "runs"),
    [
        ((CodeLocation("src/socket.ts", 3, 1, ""),), True),
        ((CodeLocation("src/socket.ts", 3, 1, "./src/socket.ts"),), True),
        ((CodeLocation("src/socket.ts", 3, 1, "open"), CodeLocation("src/main.ts", 9, 1, "start")), False),
        ((PAGE, REACT), True),
        ((PAGE, EFFECT, REACT), False),
        ((CodeLocation("src/a.vue", 2, 1, "setup"), CodeLocation("vue/x.js", 1, 1, "setupStatefulComponent")), True),
        ((CodeLocation("src/a.vue", 2, 1, ""), CodeLocation("vue/x.js", 1, 1, "callWithErrorHandling")), False),
        ((), False),
    ],
)
def test_code_that_a_server_runs_too_is_at_module_level_or_in_render(
    stack: tuple[CodeLocation, ...], runs: bool
) -> None:
    assert runs_while_rendering_on_server(stack) is runs


@pytest.mark.parametrize(
    ("file", "framework"),
    [
        ("http://h/_next/static/chunks/app/page.js", "Next.js"),
        ("webpack-internal:///(app-pages-browser)/./src/a.ts", "Next.js"),
        ("http://h/_nuxt/entry.js", "Nuxt"),
        ("http://h/_app/immutable/nodes/2.js", "SvelteKit"),
        ("http://h/assets/main.js", ""),
    ],
)
def test_a_framework_that_renders_on_the_server_is_known_by_its_files(file: str, framework: str) -> None:
    assert server_framework([file]) == framework


def in_package(*files: str) -> tuple[CodeLocation, ...]:
    return tuple(CodeLocation(file, 1, 1) for file in files)


@pytest.mark.parametrize(
    ("stack", "named"),
    [
        (
            ("node_modules/@rails/actioncable/src/connection.js", "node_modules/@hotwired/turbo-rails/turbo/cable.js"),
            ["@hotwired/turbo-rails/turbo/cable.js"],
        ),
        (("node_modules/ahooks/es/useWebSocket.js", "node_modules/react-dom/index.js"), ["ahooks/es/useWebSocket.js"]),
        (("node_modules/react-use-websocket/src/open.ts", "<unmapped>"), ["react-use-websocket/src/open.ts"]),
        (
            ("node_modules/socket.io-client/index.js", "node_modules/vue-socket.io/plugin.js"),
            ["vue-socket.io/plugin.js"],
        ),
        (("a/node_modules/b/node_modules/feed-client/i.js", "node_modules/vue/i.js"), ["feed-client/i.js"]),
        (
            ("node_modules/log-view/source.ts", "node_modules/mitt/mitt.mjs", "node_modules/log-view/view.tsx"),
            ["log-view/source.ts", "log-view/view.tsx"],
        ),
        (
            (
                "node_modules/ws-kit/a.js",
                "node_modules/nanoevents/i.js",
                "node_modules/ws-kit/b.js",
                "node_modules/use-feed/c.js",
            ),
            ["use-feed/c.js"],
        ),
        (("node_modules/react-dom/index.js", "node_modules/scheduler/index.js"), []),
        (("node_modules/socket.io-client/index.js",), []),
    ],
)
def test_the_package_that_used_the_client_opens_without_application_code(
    stack: tuple[str, ...], named: list[str]
) -> None:
    found = calling_package(in_package(*stack))
    assert [frame.file for frame in app_frames(found)] == named


def test_a_package_is_not_named_where_the_application_has_a_frame() -> None:
    stack = in_package("node_modules/feed-client/i.js", "src/Feed.js")
    assert calling_package(stack) == stack


@pytest.mark.parametrize("part", [".socket.io", "socket.io.", "/socket.io", "://", "-socket.io.a"])
def test_no_path_makes_the_search_for_libraries_slow(part: str) -> None:
    frame = CodeLocation("c" + part * 20_000, 1)
    began = time.process_time()
    assert not is_client_frame(frame)
    is_library_frame(frame)
    assert time.process_time() - began < 5
