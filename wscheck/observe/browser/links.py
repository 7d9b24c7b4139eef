"""Links of a page that `wscheck browser --loop` may follow."""

import json
import re
import unicodedata
from collections.abc import Iterable
from itertools import pairwise
from mimetypes import MimeTypes
from urllib.parse import unquote, urlsplit

import msgspec

from wscheck.observe.browser.page import BrowserTab

MAX_LINKS_READ = 2_000

_DEEP_LINKS = """const found = [], walk = root => {
  for (const e of root.querySelectorAll('*')) {
    if (e.shadowRoot) walk(e.shadowRoot);
    if (e.localName === 'a' && typeof e.href === 'string' && e.hasAttribute('href')) found.push(e);
  }
}; walk(document);"""

_READ_LINKS = f"""(() => {{ {_DEEP_LINKS}
  const base = document.querySelector('base[target]')?.target || '';
  return found.slice(0, {MAX_LINKS_READ}).map(e => ({{
    url: e.href, target: e.target || base, download: e.hasAttribute('download'), visible: e.getClientRects().length > 0,
    method: e.dataset.method || e.dataset.turboMethod || '',
    text: [e.innerText, e.title, e.ariaLabel, ...Array.from(e.querySelectorAll('img'), i => i.alt)].join(' '),
  }})) }})()"""

# A click of the element itself, not at its position: a page that moves meanwhile must not get a click elsewhere.
_CLICK_LINK = f"""(url => {{ {_DEEP_LINKS}
  const same = found.filter(e => e.href === url);
  const link = same.find(e => e.getClientRects().length > 0) || same[0];
  if (!link) return false;
  link.scrollIntoView({{block: 'center'}}); link.click(); return true }})"""

_CAMEL_CASE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_UNSAFE_WORDS = ("delete", "remove", "signout", "logout", "signoff", "logoff")
_PAGE_TYPES = (None, "text/html", "application/xhtml+xml")
_TYPES = MimeTypes()


class PageLink(msgspec.Struct, frozen=True):
    """Link of a page. `url` is absolute; `text` also contains the link's title, its label and its images' texts."""

    url: str
    text: str = ""
    target: str = ""
    download: bool = False
    visible: bool = True
    method: str = ""


async def read_links(tab: BrowserTab) -> list[PageLink]:
    """Return the links of the page that a tab shows, in the order of the document."""
    return await tab.evaluate(_READ_LINKS, list[PageLink])


async def click_link(tab: BrowserTab, url: str) -> bool:
    """Click the link to `url`, given as it is written in the page. Return False if the page no longer contains it."""
    return bool(await tab.evaluate(f"{_CLICK_LINK}({json.dumps(url)})"))


def followable_links(links: Iterable[PageLink], page: str, limit: int) -> list[PageLink]:
    """Return at most `limit` links to other views of the same origin, each view once.

    A link is not followed if it downloads a file, opens another tab, is no GET request, or signs out, deletes or
    removes something according to its text or address.
    """
    found: dict[str, PageLink] = {}
    for link in links:
        if _origin(link.url) == _origin(page) and view_url(link.url) != view_url(page) and _is_followable(link):
            found.setdefault(view_url(link.url), link)
    return list(found.values())[:limit]


def leads_to(link: PageLink, page: str) -> bool:
    """Return whether wscheck may follow a link, and the link leads to the view at the URL `page`."""
    return view_url(link.url) == view_url(page) and _is_followable(link)


def _is_followable(link: PageLink) -> bool:
    is_get = link.method.lower() in ("", "get")
    is_here = link.visible and link.target in ("", "_self") and not link.download
    return is_get and is_here and is_safe(link)


def is_safe(link: PageLink) -> bool:
    """Return whether a link leads to a page, and its text and address contain no unsafe word such as "delete"."""
    parts = urlsplit(link.url)
    is_page = _TYPES.guess_type(parts.path)[0] in _PAGE_TYPES
    return is_page and not any(map(_is_unsafe, (link.text, f"{parts.path} {parts.query} {parts.fragment}")))


def _is_unsafe(text: str) -> bool:
    """Return whether a text contains an unsafe word such as "delete" or "signOut", in any common spelling."""
    visible = "".join(char for char in unquote(text) if unicodedata.category(char) != "Cf")
    words = re.findall(r"[^\W_]+", _CAMEL_CASE.sub(" ", unicodedata.normalize("NFKC", visible)).lower())
    pairs = [first + second for first, second in pairwise(words)]
    return any(unsafe in word for word in words for unsafe in _UNSAFE_WORDS) or any(
        pair in _UNSAFE_WORDS for pair in pairs
    )


def view_url(url: str) -> str:
    """Return a URL without its fragment, unless the fragment is a route ("#/orders", "#!orders")."""
    plain, _, fragment = url.partition("#")
    return url if fragment.startswith(("/", "!")) else plain


def _origin(url: str) -> tuple[str, str] | None:
    parts = urlsplit(url)
    return (parts.scheme, parts.netloc) if parts.scheme in ("http", "https") else None
