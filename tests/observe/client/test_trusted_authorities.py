"""Tests of the certificate authorities that the preflight check trusts."""

import ssl
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from tests.bad_servers import serving
from tests.observe.client.conftest import ANN
from wscheck.config.target import ServerTarget
from wscheck.model.errors import Unreachable, UsageError
from wscheck.model.secrets import Redactor
from wscheck.observe.client.preflight import polling_handshake


async def handshake(_: web.Request) -> web.Response:
    return web.Response(text='0{"sid":"s","upgrades":[],"pingInterval":1000,"pingTimeout":1000}')


async def connects(authority: trustme.CA, ca_file: Path | None) -> bool:
    """Return whether a handshake succeeds with a server whose certificate `authority` issued."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    app = web.Application()
    app.router.add_get("/socket.io/", handshake)
    async with serving(app, context) as url:
        try:
            return await polling_handshake(ServerTarget(url=url, timeout_s=5.0), ANN, Redactor(), ca_file)
        except Unreachable:
            return False


async def test_a_ca_file_is_trusted_in_addition_to_the_authorities_of_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system, own = trustme.CA(), trustme.CA()
    system.cert_pem.write_to_path(tmp_path / "system.pem")
    own.cert_pem.write_to_path(tmp_path / "own.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system.pem"))
    assert await connects(own, None) is False
    assert await connects(own, tmp_path / "own.pem")
    assert await connects(system, tmp_path / "own.pem")


async def test_a_ca_file_without_a_certificate_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    with pytest.raises(UsageError, match="it is not a PEM file"):
        await connects(trustme.CA(), tmp_path / "empty.pem")
