"""Pages with an invalid TLS certificate: refused, and opened with --insecure."""

import ssl
from collections.abc import AsyncIterator

import pytest
import trustme
from aiohttp import web

from tests.cli import wscheck
from tests.needs import needs
from tests.pages import watched
from wscheck.config.loading import load_config
from wscheck.model.errors import CannotCheck
from wscheck.observe.traffic.inconclusive import NO_TRAFFIC
from wscheck.run.verify.plan import plan_verify_run


@pytest.fixture
async def page() -> AsyncIterator[str]:
    needs("chromium")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)

    async def hello(request: web.BaseRequest) -> web.Response:
        return web.Response(text="<p>hello", content_type="text/html")

    runner = web.ServerRunner(web.Server(hello))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield f"https://127.0.0.1:{runner.addresses[0][1]}/"
    await runner.cleanup()


async def test_an_invalid_certificate_is_refused_unless_insecure(page: str) -> None:
    with pytest.raises(CannotCheck, match=r"pass `target\.insecure` for a test server"):
        await watched(page, seconds=0.1)
    reason = (await watched(page, seconds=0.1, insecure=True)).report.reason
    assert reason.startswith(f"{NO_TRAFFIC}, within 0.1 s") and "(--for)" in reason


def test_verify_applies_insecure_to_the_page() -> None:
    flags = {"target.url": "https://127.0.0.1:1", "verify.page": "https://127.0.0.1:2/", "identity.token": "t"}
    for insecure in (True, False):
        run = plan_verify_run(load_config({**flags, "target.insecure": insecure or None}, environ={}), [])
        assert run.page is not None and run.page.insecure is insecure


def test_insecure_with_cdp_is_refused() -> None:
    ran = wscheck("browser", "--cdp", "http://127.0.0.1:1", "--insecure", "http://127.0.0.1:2/")
    assert ran.code == 2 and "Start that browser with --ignore-certificate-errors." in ran.err
