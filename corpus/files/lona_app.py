"""A page with a heading."""

import sys

from lona import App, View
from lona.html import H1, HTML

app = App(__file__)


@app.route("/")
class Page(View):  # type: ignore[misc]
    """The page."""

    def handle_request(self, _request: object) -> HTML:
        """Return its content."""
        return HTML(H1("hello"))


app.run(host="127.0.0.1", port=int(sys.argv[1]), parse_command_line=False)
