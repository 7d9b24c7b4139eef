"""Servers that the scenarios run against: the server that the user named, or the embedded backend."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing

import msgspec

from wscheck.backend.demo_tokens import token_for
from wscheck.backend.faults import Fault, SecondConnectionPolicy
from wscheck.config.event_contract import Contract
from wscheck.config.target import EVENT_STREAM, Credentials, ServerTarget, check_plain_target
from wscheck.model.errors import UsageError
from wscheck.model.events import EMBEDDED_BACKEND
from wscheck.model.secrets import Secret
from wscheck.observe.client.plain_connections import check_stream_requests
from wscheck.observe.client.preflight import preflight, server_problem
from wscheck.observe.logs.server_log import EmbeddedLog, ServerLog, open_log
from wscheck.observe.logs.sources import NewReader
from wscheck.scenarios.context import ScenarioSettings
from wscheck.scenarios.zombie import Zombie

ReaderFactory = Callable[..., NewReader]

EMBEDDED_PING_S = 1.0
"""Ping interval (seconds), and for the scenario with a silent client also the ping timeout.

They are short, so that a backend closes a silent client during the run. python-engineio needs whole seconds.
"""

PATIENT_PING_TIMEOUT_S = 10.0
"""Ping timeout of the other scenarios (seconds). A busy machine may stop this process for longer than a second."""


class RemoteServer:
    """Server whose URL the user gave.

    Scenarios run one at a time on it, because scenarios of the same user would affect each other.
    """

    max_parallel = 1

    def __init__(self, settings: ScenarioSettings, log_paths: Sequence[str], reader_factory: ReaderFactory) -> None:
        """Prepare runs against the server of `settings`.

        Args:
            settings: Server, users and client.
            log_paths: Paths of the server's logs.
            reader_factory: Function that takes `redactor` and returns a function that creates a reader for each log.
        """
        self._settings, self.display_name = settings, settings.target.display_url
        self.redactor = settings.redactor
        self._log_paths = log_paths
        self._new_reader = reader_factory(redactor=self.redactor)
        self._logs: list[ServerLog] = []

    @asynccontextmanager
    async def prepared(self) -> AsyncIterator[None]:
        """Check that the server accepts the credentials, and follow its logs during the `with` block.

        Raises:
            CannotCheck: The server is unreachable or refuses the credentials, or a log cannot be read.
        """
        async with AsyncExitStack() as stack:
            if self._settings.target.protocol and not self._settings.target.is_socket_io:
                self._check_plain(self._settings.target)
            several = len(set(self._log_paths)) > 1
            reading = (self._new_reader, self.redactor)
            opened = (open_log(path, *reading, node=path if several else None) for path in self._log_paths)
            self._logs = [stack.enter_context(closing(log)) for log in opened]
            await self._prepare_target()
            for log in self._logs:
                stack.push_async_callback(_cancel, asyncio.ensure_future(log.follow()))
            yield

    async def _prepare_target(self) -> None:
        """Find out the protocol of the server, and check that it accepts the credentials."""
        settings = self._settings
        target = await preflight(settings.target, settings.user, self.redactor)
        if target.is_socket_io:
            self._settings = msgspec.structs.replace(settings, target=target)
            return
        self._check_plain(target)
        contract = Contract(()) if settings.contract_is_assumed else settings.contract
        self._settings = msgspec.structs.replace(settings, target=target, contract=contract, contract_is_assumed=False)

    def _check_plain(self, target: ServerTarget) -> None:
        """Raise UsageError if the configuration has settings that need Socket.IO, which this server does not speak."""
        settings = self._settings
        users = [settings.user, *filter(None, [settings.second_user])]
        check_plain_target(target, users)
        if self._log_paths:
            raise UsageError(
                "`verify.server_log` was given, and only Socket.IO has connection ids by which a log can be compared.",
                "Leave it out, and evaluate the log with `wscheck tail-logs`.",
            )
        if target.protocol == EVENT_STREAM and not settings.contract_is_assumed:
            check_stream_requests(settings.contract)

    @asynccontextmanager
    async def for_scenario(self, scenario: str) -> AsyncIterator[tuple[ScenarioSettings, list[ServerLog]]]:
        """Yield the settings for the scenario with this id, and the logs to read."""
        yield self._settings, self._logs

    async def problem(self) -> str | None:
        """Return the reason why the server no longer answers, or None if it answers."""
        return await server_problem(self._settings.target, self._settings.user, self.redactor)


class EmbeddedServers:
    """Reference backend in this process, with a new instance for each scenario."""

    max_parallel = 12
    display_name = EMBEDDED_BACKEND

    def __init__(
        self,
        settings: ScenarioSettings,
        *,
        policy: SecondConnectionPolicy = SecondConnectionPolicy.REPLACE,
        faults: Iterable[Fault] = (),
    ) -> None:
        self._settings, self._policy, self._faults = settings, policy, frozenset(faults)
        self.redactor = self._settings_for("").redactor

    @asynccontextmanager
    async def prepared(self) -> AsyncIterator[None]:
        yield

    @asynccontextmanager
    async def for_scenario(self, scenario: str) -> AsyncIterator[tuple[ScenarioSettings, list[ServerLog]]]:
        from wscheck.backend.log_writer import ServerLogWriter
        from wscheck.backend.server import ReferenceBackend, serve_backend

        log, target = EmbeddedLog(self.display_name), self._settings.target
        backend = ReferenceBackend(
            ServerLogWriter(log.write),
            policy=self._policy,
            faults=self._faults,
            namespace=target.namespace,
            path=target.path,
            ping_interval_s=EMBEDDED_PING_S,
            ping_timeout_s=EMBEDDED_PING_S if scenario == Zombie.id else PATIENT_PING_TIMEOUT_S,
        )
        async with serve_backend(backend) as url:
            yield self._settings_for(url), [log]

    def _settings_for(self, url: str) -> ScenarioSettings:
        """Return settings for the backend at `url`, with a second user and tokens that the backend accepts."""
        user = self._settings.user.user
        given_second = self._settings.second_user
        second = given_second.user if given_second is not None else f"{user}_second"
        return msgspec.structs.replace(
            self._settings,
            target=msgspec.structs.replace(self._settings.target, url=url),
            user=Credentials(user, Secret(token_for(user))),
            second_user=Credentials(second, Secret(token_for(second))),
        )

    async def problem(self) -> str | None:
        return None


async def _cancel(task: "asyncio.Future[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
