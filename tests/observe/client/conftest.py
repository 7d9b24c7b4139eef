"""A real server in the test's own process, and pages that connect to it."""

from collections.abc import AsyncIterator

import pytest

from wscheck.backend.demo_tokens import token_of
from wscheck.backend.embedded import listening
from wscheck.backend.log_writer import Journal
from wscheck.backend.server import Backend
from wscheck.config.event_contract import DOCUMENTED
from wscheck.config.target import Credentials, Target
from wscheck.model.events import Event
from wscheck.model.secrets import Redactor, Secret
from wscheck.observe.client.recorder import ReplayWitness

ANN = Credentials("ann", Secret(token_of("ann")))


@pytest.fixture
async def backend() -> Backend:
    return Backend(Journal(None))


@pytest.fixture
async def target(backend: Backend) -> AsyncIterator[Target]:
    async with listening(backend) as url:
        yield Target(url=url, timeout_s=5.0)


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def witness(events: list[Event]) -> ReplayWitness:
    return ReplayWitness(events.append, DOCUMENTED, Redactor())
