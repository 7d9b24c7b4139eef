"""A page with a label."""

import sys

import remi


class Page(remi.App):  # type: ignore[misc]
    """The page."""

    def main(self) -> object:
        """Return its content."""
        return remi.gui.Label("hello")


remi.start(Page, address="127.0.0.1", port=int(sys.argv[1]), start_browser=False)
