"""What came instead of the page that was asked for: an error page, another one, or one that was there already. What was
not seen proves nothing, and its silence should not look like the application's."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from wscheck.observe.browser.targets import DevToolsTarget
from wscheck.observe.traffic import UrlFormatter

ERRORS = 400


class PageLoads:
    """Told of what each tab asked for (`asked`) and was answered (`answered`); of those that were open `before`, and of
    whatever loads (`loaded`)."""

    def __init__(self, addresses: UrlFormatter) -> None:
        self._addresses = addresses
        self._asked: dict[str, str] = {}
        self._status: dict[str, int] = {}
        self._before: set[str] = set()

    def before(self, tabs: Iterable[DevToolsTarget]) -> None:
        """These are open already. Nobody tells of a websocket that is."""
        self._before |= {held.id for held in tabs if held.url.startswith(("http:", "https:"))}

    def loaded(self, id: str) -> None:
        """The tab `id` shows a page anew."""
        self._before.discard(id)

    def asked(self, id: str, url: str) -> None:
        """The tab `id` was sent to `url`."""
        self._asked[id] = url

    def answered(self, held: DevToolsTarget | None, params: dict[str, Any]) -> None:
        """Network.responseReceived: a document's status counts where it is the tab's own, not that of a frame."""
        if held is not None and params.get("type") == "Document" and params.get("frameId") == held.id:
            self._status[held.id] = params["response"]["status"]

    def notes(self, tabs: Mapping[str, DevToolsTarget], connected: Collection[str]) -> Iterator[str]:
        """A sentence for each tab that shows an error, or another page than it was sent to and no connection."""
        for label, held in tabs.items():
            shown, status = self._addresses.page(held.url), self._status.get(held.id, 0)
            asked = self._addresses.page(self._asked.get(held.id, held.url))
            if held.id in self._before:
                yield f"{label} was open before it was watched, and what it then had is not seen: reload {shown}."
            if status >= ERRORS:
                yield f"{label} was answered HTTP {status}: {shown}."
            elif label not in connected and _path(asked) != _path(shown):
                yield f"{label} was sent to {asked} and shows {shown}: is a login missing (--storage-state, or steps)?"


def _path(url: str) -> str:
    return url.partition("?")[0].rstrip("/")
