"""Where scenarios meet a server: one that is given, one after the other; or an embedded one each, all at once."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing

import msgspec

from wscheck.backend.demo_tokens import token_for
from wscheck.backend.faults import Fault, SecondConnectionPolicy
from wscheck.config.target import Credentials
from wscheck.model.secrets import Secret
from wscheck.observe.client.preflight import answers, preflight
from wscheck.observe.logs.server_log import EmbeddedLog, ServerLog, open_log
from wscheck.observe.logs.sources import NewReader
from wscheck.scenarios.context import Cast

ReadBy = Callable[..., NewReader]

# Short, so that a silent client is noticed within a run; python-engineio announces whole seconds only.
EMBEDDED_PING_S = 1.0


class RemoteServer:
    """A server that is already there. A user's scenarios would disturb each other, so they go one by one."""

    at_once = 1

    def __init__(self, cast: Cast, logs: Sequence[str], read_by: ReadBy) -> None:
        """`logs`: paths of the server's logs; `read_by` makes what reads their words and hides our secrets."""
        self._cast, self.target = cast, cast.target.display_url
        self._redactor = cast.redactor
        self._paths = logs
        self._new_reader = read_by(redactor=self._redactor)
        self._logs: list[ServerLog] = []

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Check that the server lets us in, and follow its logs while the block runs. Raises CannotCheck."""
        async with AsyncExitStack() as stack:
            several = len(set(self._paths)) > 1
            read = (self._new_reader, self._redactor)
            opened = (open_log(path, *read, node=path if several else None) for path in self._paths)
            self._logs = [stack.enter_context(closing(log)) for log in opened]
            await preflight(self._cast.target, self._cast.user, self._redactor)
            for log in self._logs:
                stack.push_async_callback(_stopped, asyncio.ensure_future(log.follow()))
            yield

    @asynccontextmanager
    async def place(self) -> AsyncIterator[tuple[Cast, list[ServerLog]]]:
        """Who plays against what, and which logs tell of it."""
        yield self._cast, self._logs

    async def lost(self) -> str | None:
        """What is wrong with the server now, None when it still answers."""
        return await answers(self._cast.target, self._cast.user, self._redactor)


class EmbeddedServers:
    """The reference backend in this process, a fresh one for each scenario."""

    at_once = 12
    target = "embedded backend"

    def __init__(
        self,
        cast: Cast,
        *,
        policy: SecondConnectionPolicy = SecondConnectionPolicy.REPLACE,
        faults: Iterable[Fault] = (),
    ) -> None:
        self._cast, self._policy, self._faults = cast, policy, frozenset(faults)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        yield

    @asynccontextmanager
    async def place(self) -> AsyncIterator[tuple[Cast, list[ServerLog]]]:
        from wscheck.backend.log_writer import ServerLogWriter
        from wscheck.backend.server import ReferenceBackend, serve_backend

        log, target = EmbeddedLog(self.target), self._cast.target
        backend = ReferenceBackend(
            ServerLogWriter(log.write),
            policy=self._policy,
            faults=self._faults,
            namespace=target.namespace,
            path=target.path,
            ping_interval_s=EMBEDDED_PING_S,
            ping_timeout_s=EMBEDDED_PING_S,
        )
        async with serve_backend(backend) as url:
            yield self._playing(url), [log]

    def _playing(self, url: str) -> Cast:
        user = self._cast.user.user
        second = self._cast.second.user if self._cast.second is not None else f"{user}_second"
        return msgspec.structs.replace(
            self._cast,
            target=msgspec.structs.replace(self._cast.target, url=url),
            user=Credentials(user, Secret(token_for(user))),
            second=Credentials(second, Secret(token_for(second))),
        )

    async def lost(self) -> str | None:
        return None


async def _stopped(task: "asyncio.Future[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
