"""wss, as users have it: verified, named for what it is, and only insecure when told so."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.load.locusting import ROOT
from tests.load.swarming import is_open, join, refused, swarming, until
from tests.needs import needs
from tests.node_backend import install, node_backend
from wscheck.load.component import Component

QUIET = ("--fault", "log-nothing")


@contextmanager
def tls_server(folder: Path, authority: trustme.CA) -> Iterator[str]:
    """The load bench's Node server under a certificate for localhost."""
    needs("node")
    install()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    command = ["node", str(ROOT / "bench" / "_load_server.mjs"), str(folder / "server.pem"), str(folder / "server.pem")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"wss://localhost:{process.stdout.readline().split()[0]}"
        finally:
            process.kill()


@pytest.mark.parametrize("upgrades", [False, True], ids=["websocket", "polling-upgrade"])
def test_wss_is_verified_unless_told_otherwise(tmp_path: Path, upgrades: bool) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with tls_server(tmp_path, authority) as url:
        untrusted = {"tls: the certificate is not trusted": 1}
        with swarming(url, upgrades=upgrades) as swarm:
            assert refused(swarm) == untrusted
        with swarming(url.replace("localhost", "127.0.0.1"), ca_file=str(tmp_path / "ca.pem")) as swarm:
            assert refused(swarm) == untrusted
        for options in ({"ca_file": str(tmp_path / "ca.pem")}, {"target": {"insecure": True}}):
            with swarming(url, upgrades=upgrades, **options) as swarm:
                assert _echoes(swarm, *join(swarm)) == ["x" * 300_000]


def _echoes(swarm: Any, component: Component) -> list[Any]:
    answers: list[Any] = []
    until(lambda: is_open(component))
    component.emit("echo", "x" * 300_000, answered=lambda answer, ms: answers.append(answer))
    until(lambda: answers)
    return list(answers[0])


def test_tls_to_a_server_without_it_is_named() -> None:
    with node_backend(*QUIET) as server, swarming(server.url.replace("http:", "https:")) as swarm:
        (kind,) = refused(swarm)
    assert kind.startswith("tls")
