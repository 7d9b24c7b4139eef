"""Which links a loop follows: other views of the same origin, and never one that signs out or deletes."""

import pytest

from wscheck.observe.browser.links import PageLink, followable_links, leads_to

PAGE = "http://shop.test:3000/start"


def followed(*links: PageLink, limit: int = 10, page: str = PAGE) -> list[str]:
    return [link.url for link in followable_links(links, page, limit)]


def followed_urls(*urls: str) -> list[str]:
    return followed(*(PageLink(url=url) for url in urls))


def test_views_of_the_same_origin_are_followed_once_each() -> None:
    assert followed_urls(
        "http://shop.test:3000/orders",
        "http://shop.test:3000/orders#top",
        "http://shop.test:3000/orders?page=2",
        "http://shop.test:3000/#/route",
        "http://shop.test:3000/#!route",
        "http://shop.test:3000/users/jane.doe",
        "http://shop.test:3000/about.html",
    ) == [
        "http://shop.test:3000/orders",
        "http://shop.test:3000/orders?page=2",
        "http://shop.test:3000/#/route",
        "http://shop.test:3000/#!route",
        "http://shop.test:3000/users/jane.doe",
        "http://shop.test:3000/about.html",
    ]


@pytest.mark.parametrize(
    "url",
    [
        PAGE,
        f"{PAGE}#details",
        "http://shop.test:3001/orders",
        "https://shop.test:3000/orders",
        "http://elsewhere.test/orders",
        "javascript:void(0)",
        "mailto:ann@shop.test",
        "http://shop.test:3000/report.pdf",
        "http://shop.test:3000/export/orders.csv?all=1",
    ],
)
def test_other_places_and_files_are_not_followed(url: str) -> None:
    assert followed_urls(url) == []


@pytest.mark.parametrize("more", [{"download": True}, {"target": "_blank"}, {"visible": False}, {"method": "DELETE"}])
def test_links_that_do_not_show_another_view_here_are_not_followed(more: dict[str, str | bool]) -> None:
    link = {"url": "http://shop.test:3000/orders", **more}
    assert followed(PageLink(**link)) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "unsafe",
    [
        *("logout", "log-out", "logOut", "log_out", "LOGOUT", "user/logout.html", "go?action=log-out", "#/logOut"),
        *("signout", "sign-out", "signOut", "SignOutAll", "auth/sign%2Dout", "logoff", "sign-off"),
        *("delete", "deleteAll", "items/3/delete", "undelete", "DELETE", "remove", "removeItem", "x?do=remove"),
    ],
)
def test_an_address_that_signs_out_or_deletes_is_never_followed(unsafe: str) -> None:
    assert followed_urls(f"http://shop.test:3000/{unsafe}") == []


@pytest.mark.parametrize(
    "text",
    ["Sign out", "SIGN  OUT", "Log\nout", "Log out of Shop", "Sign-out", "Delete account", "Remove", "de\u00adlete"],
)
def test_a_text_that_signs_out_or_deletes_is_never_followed(text: str) -> None:
    assert followed(PageLink(url="http://shop.test:3000/go", text=text)) == []


@pytest.mark.parametrize("path", ["blog/outline", "signs/outdoor", "login", "sign-in", "checkout", "outlet", "log/7"])
def test_harmless_words_are_followed(path: str) -> None:
    assert followed_urls(f"http://shop.test:3000/{path}") == [f"http://shop.test:3000/{path}"]


def test_the_number_of_links_is_limited() -> None:
    assert len(followed(*(PageLink(url=f"http://shop.test:3000/{n}") for n in range(20)), limit=4)) == 4


def test_the_way_back_is_a_link_to_the_view_that_is_safe() -> None:
    assert leads_to(PageLink(url=f"{PAGE}#top", text="home"), PAGE)
    assert not leads_to(PageLink(url="http://shop.test:3000/orders"), PAGE)
    assert not leads_to(PageLink(url=PAGE, text="Sign out"), PAGE)
    assert not leads_to(PageLink(url=PAGE, target="_blank"), PAGE)
