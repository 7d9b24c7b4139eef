"""The npm package around a source file: its folder, and the frameworks in the dependencies of its package.json."""

import json
import re

import msgspec

_MAJOR = re.compile(r"\d+")
_SERVER_RENDERING = {
    "next": "Next.js",
    "nuxt": "Nuxt",
    "nuxt3": "Nuxt",
    "@sveltejs/kit": "SvelteKit",
    "@remix-run/react": "Remix",
    "@solidjs/start": "SolidStart",
    "gatsby": "Gatsby",
}


class Package(msgspec.Struct, frozen=True):
    """Package that contains a source file.

    folder        folder of its package.json, "" if there is none
    dependencies  dict of the name of each dependency to its version range
    """

    folder: str = ""
    dependencies: dict[str, str] = {}

    @property
    def is_vue(self) -> bool:
        """Return whether functions named `use...` are Vue's composables, not React's hooks."""
        return not self.dependencies.keys().isdisjoint(("vue", "nuxt", "nuxt3")) and "react" not in self.dependencies

    def framework_for(self, suffix: str) -> str:
        """Return the name of the framework of a file with this suffix, "" for React or if it is unknown."""
        if suffix in (".vue", ".svelte"):
            return suffix[1:]
        if self.is_vue:
            return "vue"
        names = {"@angular/core": "angular", "svelte": "svelte", "solid-js": "solid"}
        known = (name for package, name in names.items() if package in self.dependencies)
        return "" if "react" in self.dependencies else next(known, "")

    @property
    def vue_version(self) -> int | None:
        """Return Vue's major version, None if the package does not state it."""
        stated = _MAJOR.search(self.dependencies.get("vue", ""))
        return int(stated.group()) if stated is not None else None

    @property
    def server_rendering(self) -> str:
        """Return the name of the framework that also renders pages on the web server, "" if the package uses none."""
        return next((name for package, name in _SERVER_RENDERING.items() if package in self.dependencies), "")


def parse_manifest(folder: str, content: bytes) -> Package:
    """Return the package that the text of a package.json describes, without dependencies if the text is invalid."""
    try:
        manifest = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return Package(folder)
    sections = [manifest.get(name) for name in _SECTIONS] if isinstance(manifest, dict) else []
    stated = {
        str(name): str(version)
        for section in sections
        if isinstance(section, dict)
        for name, version in section.items()
    }
    return Package(folder, stated)


_SECTIONS = ("peerDependencies", "devDependencies", "dependencies")
