"""TLS: the certificate is verified unless --insecure, and failures have a kind."""

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

from tests.loadgen.generators import add_user, is_open, load_generator, refusal_kinds, wait_until
from tests.loadgen.locust_runs import ROOT
from tests.needs import needs
from tests.node_backend import install, node_backend
from wscheck.loadgen.page_component import PageComponent

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
def test_the_certificate_is_verified_unless_insecure(tmp_path: Path, upgrades: bool) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with tls_server(tmp_path, authority) as url:
        untrusted = {"tls: the certificate is not trusted": 1}
        with load_generator(url, upgrades=upgrades) as generator:
            assert refusal_kinds(generator) == untrusted
        with load_generator(url.replace("localhost", "127.0.0.1"), ca_file=str(tmp_path / "ca.pem")) as generator:
            assert refusal_kinds(generator) == untrusted
        for options in ({"ca_file": str(tmp_path / "ca.pem")}, {"target": {"insecure": True}}):
            with load_generator(url, upgrades=upgrades, **options) as generator:
                assert _echoed_arguments(*add_user(generator)) == ["x" * 300_000]


def _echoed_arguments(component: PageComponent) -> list[Any]:
    answers: list[Any] = []
    wait_until(lambda: is_open(component))
    component.emit("echo", "x" * 300_000, on_ack=lambda answer, ms: answers.append(answer))
    wait_until(lambda: answers)
    return list(answers[0])


def test_tls_to_a_server_without_tls_has_its_own_kind() -> None:
    with node_backend(*QUIET) as server, load_generator(server.url.replace("http:", "https:")) as generator:
        (kind,) = refusal_kinds(generator)
    assert kind.startswith("tls")


def answer_and_close_at_once(listener: socket.socket, context: ssl.SSLContext) -> None:
    """Answer one request. Answer and close_notify are sent together, and the TCP connection stays open."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=True)
    with listener.accept()[0] as connection:
        while True:
            try:
                tls.do_handshake()
                request = tls.read()
                break
            except ssl.SSLWantReadError:
                connection.sendall(outgoing.read())
                incoming.write(connection.recv(4096))
        assert request.startswith(b"GET /socket.io/")
        tls.write(b"HTTP/1.1 502 Bad Gateway\r\n\r\nno length: it ends with the connection")
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.unwrap()
        connection.sendall(outgoing.read())
        with contextlib.suppress(ConnectionResetError):
            connection.recv(4096)


def test_an_end_that_arrives_with_the_last_data_is_noticed() -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = threading.Thread(target=answer_and_close_at_once, args=(listener, context))
        serving.start()
        url = f"wss://127.0.0.1:{listener.getsockname()[1]}"
        with load_generator(url, target={"insecure": True, "timeout_s": 3.0}) as generator:
            assert refusal_kinds(generator) == {"http-502": 1}
        serving.join()
