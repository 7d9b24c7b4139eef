"""wss, as users have it: verified, named for what it is, and only insecure when told so."""

import contextlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.loadgen.locusting import ROOT
from tests.loadgen.swarming import is_open, join, refused, swarming, until
from tests.needs import needs
from tests.node_backend import install, node_backend
from wscheck.loadgen.page_component import Component

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


def says_goodbye_at_once(listener: socket.socket, context: ssl.SSLContext) -> None:
    """Answers one request; what it says and its close_notify leave in one piece, and the TCP connection stays."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=True)
    with listener.accept()[0] as link:
        while True:
            try:
                tls.do_handshake()
                request = tls.read()
                break
            except ssl.SSLWantReadError:
                link.sendall(outgoing.read())
                incoming.write(link.recv(4096))
        assert request.startswith(b"GET /socket.io/")
        tls.write(b"HTTP/1.1 502 Bad Gateway\r\n\r\nno length: it ends with the connection")
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.unwrap()
        link.sendall(outgoing.read())
        with contextlib.suppress(ConnectionResetError):
            link.recv(4096)


def test_the_end_that_comes_with_the_last_data_is_heard() -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = threading.Thread(target=says_goodbye_at_once, args=(listener, context))
        serving.start()
        url = f"wss://127.0.0.1:{listener.getsockname()[1]}"
        with swarming(url, target={"insecure": True, "timeout_s": 3.0}) as swarm:
            assert refused(swarm) == {"http-502": 1}
        serving.join()
