"""The pages that a browser showed, as pictures in the report."""

import re

from markupsafe import Markup

from wscheck.model.report import PageSummary, Report
from wscheck.report.formatting import one_line

_PICTURE = re.compile(r"data:image/(?:png|jpeg|webp);base64,[A-Za-z0-9+/]+={0,2}", re.ASCII)

PICTURES = 12
"""Pictures in one report; each is some tens of kilobytes."""


def screens(report: Report) -> Markup | None:
    """A figure for each page with a picture, None when there is none. What is no picture is left out."""
    pages: list[PageSummary] = getattr(report, "pages", [])
    shown = [(page, _picture(page)) for page in pages]
    figures = [_figure(page, picture) for page, picture in shown if picture][:PICTURES]
    return Markup("\n").join(figures) if figures else None


def _picture(page: PageSummary) -> str:
    """The page's `data:` URI, empty where it has none: nothing else may get into an attribute that loads things."""
    picture = page.screenshot or ""
    return picture if _PICTURE.fullmatch(picture) else ""


def _figure(page: PageSummary, picture: str) -> Markup:
    said = _said(page)
    return Markup('<figure class="screen"><img src="{}" alt="{}"><figcaption>{}</figcaption></figure>').format(
        picture, f"Screenshot of {said}", said
    )


def _said(page: PageSummary) -> str:
    return one_line(" · ".join(part for part in (page.title, page.url) if part))
