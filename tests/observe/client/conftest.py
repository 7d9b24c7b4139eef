"""Fixtures: the reference backend in the test's process, and a recorder for pages that connect to it."""

from collections.abc import AsyncIterator

import pytest

from wscheck.backend.demo_tokens import token_for
from wscheck.backend.log_writer import ServerLogWriter
from wscheck.backend.server import ReferenceBackend, serve_backend
from wscheck.config.event_contract import DOCUMENTED_CONTRACT
from wscheck.config.target import Credentials, ServerTarget
from wscheck.model.events import Event
from wscheck.model.secrets import Redactor, Secret
from wscheck.observe.client.simulated_page import ClientRecorder

ANN = Credentials("ann", Secret(token_for("ann")))


@pytest.fixture
async def backend() -> ReferenceBackend:
    return ReferenceBackend(ServerLogWriter(None))


@pytest.fixture
async def target(backend: ReferenceBackend) -> AsyncIterator[ServerTarget]:
    async with serve_backend(backend) as url:
        yield ServerTarget(url=url, timeout_s=5.0)


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def recorder(events: list[Event]) -> ClientRecorder:
    return ClientRecorder(events.append, DOCUMENTED_CONTRACT, Redactor())
