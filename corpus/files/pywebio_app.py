"""A page with a text and an input."""

import sys

from pywebio import start_server
from pywebio.input import input as ask
from pywebio.output import put_text


def page() -> None:
    """Greet the user."""
    put_text("hello")
    put_text(ask("name"))


start_server(page, port=int(sys.argv[1]), host="127.0.0.1", cdn=False)
