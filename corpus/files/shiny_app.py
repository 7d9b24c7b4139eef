"""A page with a slider."""

from typing import Any

from shiny import App, render, ui


def server(chosen: Any, _output: Any, _session: Any) -> None:
    """Show what the slider says."""

    @render.text
    def shown() -> str:
        return f"{chosen.count()} items"


app = App(ui.page_fluid(ui.input_slider("count", "count", 0, 9, 3), ui.output_text("shown")), server)
