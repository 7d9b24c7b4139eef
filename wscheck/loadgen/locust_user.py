"""The Locust user, and the state that all users of one Locust process share."""

import logging
import os
import resource
import time
from typing import Any

import gevent
from gevent import Greenlet, Timeout
from gevent.event import AsyncResult, Event
from gevent.pool import Group
from locust import User, events, task
from locust.runners import LocalRunner, MasterRunner, WorkerRunner
from locust.user.task import LOCUST_STATE_WAITING

from wscheck.config.target import Credentials
from wscheck.loadgen import web
from wscheck.loadgen.aggregator import RunAggregator, decode_report, encode_report
from wscheck.loadgen.connection import AckCallback
from wscheck.loadgen.endpoint import Endpoint, SetupError
from wscheck.loadgen.generator import LoadGenerator
from wscheck.loadgen.options import (
    PageBehaviour,
    UserPool,
    add_arguments,
    behaviour_from,
    emit_payload_from,
    endpoint_from,
    reportable_options,
    user_pool_from,
)
from wscheck.loadgen.page_component import PageComponent
from wscheck.loadgen.user_connections import UserConnections
from wscheck.model.load_statistics import RunStarted

_REPORT_MESSAGE, _SHARE_MESSAGE = "wscheck_report", "wscheck_share"
_CLOSE_MESSAGE, _CLOSED_MESSAGE = "wscheck_close", "wscheck_closed"
_SINGLE_PROCESS = "local"
_CLOSE_MARGIN_S = 1.0
_LAST_REPORT_WAIT_S = 5.0
_LATE_WORKER_OFFSET = 10_000_000
"""Step between the first user numbers of workers that join a running test, so that no two workers share a user."""

_OWN_FILES = 64
"""Number of files that the process needs in addition to its connections."""

_USERS_PER_PAUSE = 64
"""Number of users that Locust may start in a row before the sockets are read again."""

log = logging.getLogger(__name__)


class LocustProcess:
    """Load generator and aggregator of one Locust process, connected to Locust's events.

    A process that runs without workers uses both. A master has no generator. The aggregator of a worker stays empty.
    """

    def __init__(self, environment: Any) -> None:
        self.environment, self.runner = environment, environment.runner
        self.generator: LoadGenerator | None = None
        self.user_pool = UserPool()
        self.emit_payload: Any = None
        self.aggregator = RunAggregator(os.environ.get("WSCHECK_LOAD_STREAM"))
        self._behaviours: dict[str, PageBehaviour] = {}
        self._share = (0, 1)
        self._all_workers_closed = Event()
        self._add_listeners()
        if environment.web_ui is not None:
            web.add_pages(environment.web_ui, self.aggregator, environment.parsed_options.web_base_path)
        # Locust measures --run-time with the loop's clock, which stood still while the modules were imported.
        gevent.get_hub().loop.update_now()
        gevent.spawn(self._report_every_second)

    @property
    def profiles(self) -> list[str]:
        """Profiles of the locustfile's user classes. Several profiles may run at once."""
        return sorted({each.profile for each in self.environment.user_classes if hasattr(each, "profile")})

    def behaviour(self, profile: str) -> PageBehaviour:
        """Return the behaviour of the pages of `profile`."""
        if profile not in self._behaviours:
            self._behaviours[profile] = behaviour_from(profile, self.environment.parsed_options)
        return self._behaviours[profile]

    def _add_listeners(self) -> None:
        hooks = self.environment.events
        hooks.test_start.add_listener(self._on_test_start)
        hooks.test_stopping.add_listener(self._on_test_stopping)
        hooks.test_stop.add_listener(self._on_test_stop)
        if isinstance(self.runner, MasterRunner):
            self.runner.register_message(_REPORT_MESSAGE, self._on_report)
            self.runner.register_message(_CLOSED_MESSAGE, self._on_worker_closed)
            hooks.worker_connect.add_listener(self._on_late_worker)
        elif isinstance(self.runner, WorkerRunner):
            self.runner.register_message(_SHARE_MESSAGE, self._on_share)
            self.runner.register_message(_CLOSE_MESSAGE, self._on_close_request, concurrent=True)

    # --- start of a run -------------------------------------------------------------------------------------------

    def _on_test_start(self, **_: Any) -> None:
        options = self.environment.parsed_options
        try:
            endpoint = endpoint_from(self.environment.host, options)
            self.user_pool = user_pool_from(options)
            self.emit_payload = emit_payload_from(options)
        except SetupError as problem:
            self.generator = None
            self._quit(str(problem))
            return
        self._behaviours.clear()
        if isinstance(self.runner, MasterRunner):
            self._share_users()
        else:
            self.user_pool.offset, self.user_pool.stride = self._share
            self._raise_file_limit()
            self.generator = LoadGenerator(endpoint, self._report_connect)
            self.generator.counters.advance(time.time())
        if not isinstance(self.runner, WorkerRunner):
            self._start_aggregator(endpoint)

    def _raise_file_limit(self) -> None:
        """Allow this process as many files as the hard limit does, and warn if they are too few."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < hard:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        per_user = max((len(self.behaviour(profile).components) for profile in self.profiles), default=1)
        connections = (self.runner.target_user_count or 0) * per_user
        if connections + _OWN_FILES > hard:
            log.warning("wscheck: this run needs %d connections, and `ulimit -n` allows %d files", connections, hard)

    def _quit(self, problem: str) -> None:
        log.error("wscheck: %s", problem)
        self.environment.process_exit_code = 2
        if not isinstance(self.runner, WorkerRunner):
            gevent.spawn(self.runner.quit)

    def _share_users(self) -> None:
        """Send each worker its position among the workers, and the number of workers.

        The two numbers decide which users the worker simulates.
        """
        clients = self.runner.clients
        workers = [client.id for client in (*clients.ready, *clients.running, *clients.spawning)]
        for position, worker in enumerate(workers):
            self.runner.send_message(_SHARE_MESSAGE, {"position": position, "of": len(workers)}, worker)

    def _on_late_worker(self, client_id: str, **_: Any) -> None:
        """Send a worker that joins a running test user numbers that no other worker uses."""
        if self.aggregator.state == "running" and client_id not in self.aggregator.workers:
            index = len(self.aggregator.workers)
            self.aggregator.add_worker(client_id, index)
            self.runner.send_message(_SHARE_MESSAGE, {"position": index * _LATE_WORKER_OFFSET, "of": 1}, client_id)

    def _start_aggregator(self, endpoint: Endpoint) -> None:
        clients = self.runner.clients.all if isinstance(self.runner, MasterRunner) else []
        self.aggregator.start_run(
            RunStarted(
                profile=" and ".join(self.profiles),
                host=endpoint.target.display_url,
                users=self.runner.target_user_count or 0,
                workers=len(clients),
                started_at=time.time(),
                options=reportable_options(self.environment.parsed_options),
            )
        )
        for index, client in enumerate(clients):
            self.aggregator.add_worker(client.id, index)

    def _on_share(self, msg: Any, **_: Any) -> None:
        self._share = (msg.data["position"], msg.data["of"])

    # --- users ----------------------------------------------------------------------------------------------------

    def add_user(self, profile: str) -> tuple[int, UserConnections, list[PageComponent]] | None:
        """Start one more user.

        Returns:
            The user's number, connections and components; None at the end of a run, or if the users file
            has no more users.
        """
        generator = self.generator
        if generator is None or generator.is_closing:
            return None
        try:
            number, credentials = self.user_pool.acquire()
        except SetupError as problem:
            self._quit(str(problem))
            return None
        connections = UserConnections(generator, credentials.user, generator.endpoint.identity(credentials))
        policies = self.behaviour(profile).components
        components = [PageComponent(generator, connections, policy) for policy in policies]
        generator.add_user(connections, components)
        return number, connections, components

    def remove_user(self, number: int, connections: UserConnections) -> None:
        """Stop a user."""
        if self.generator is not None:
            self.generator.remove_user(connections)
            self.user_pool.release(number)

    def _report_connect(self, ms: float, refusal: str | None) -> None:
        """Report an attempt to connect as a Locust request. `refusal` is the kind of its failure, None on success."""
        self.environment.events.request.fire(
            request_type="WS",
            name="connect",
            response_time=ms,
            response_length=0,
            exception=ConnectionError(refusal) if refusal else None,
            context={},
        )

    # --- during a run ---------------------------------------------------------------------------------------------

    def _report_every_second(self) -> None:
        while True:
            gevent.sleep(1.0 - time.time() % 1.0 + 0.002)
            self._report()
            if not isinstance(self.runner, WorkerRunner) and self.aggregator.state in ("running", "stopping"):
                self._find_lost_workers()
                self.aggregator.tick(time.time())

    def _report(self) -> None:
        """Send to the master what was counted since the last report. Without a master, add it to the aggregator."""
        if self.generator is None:
            return
        if not self.generator.is_closing:
            self.generator.counters.advance(time.time())
        report = self.generator.counters.take_report()
        if isinstance(self.runner, WorkerRunner):
            self.runner.send_message(_REPORT_MESSAGE, {"report": encode_report(report)})
        elif self.aggregator.state in ("running", "stopping"):
            self.aggregator.add_report(_SINGLE_PROCESS, report, time.time())

    def _on_report(self, msg: Any, **_: Any) -> None:
        if self.aggregator.state in ("running", "stopping"):
            self.aggregator.add_report(msg.node_id, decode_report(msg.data["report"]), time.time())

    def _find_lost_workers(self) -> None:
        if not isinstance(self.runner, MasterRunner):
            return
        clients = self.runner.clients
        alive = {client.id for client in clients.all} - {client.id for client in clients.missing}
        for worker in self.aggregator.workers:
            if worker not in alive:
                self.aggregator.worker_lost(worker, time.time())

    # --- end of a run ---------------------------------------------------------------------------------------------

    @property
    def _close_within_s(self) -> float:
        return float(self.environment.parsed_options.close_timeout) + _CLOSE_MARGIN_S

    def _on_test_stopping(self, **_: Any) -> None:
        if self.aggregator.run is not None:
            self.aggregator.state = "stopping"
        if isinstance(self.runner, MasterRunner):
            self._all_workers_closed.clear()
            self.runner.send_message(_CLOSE_MESSAGE)
            self._check_all_closed()
            self._all_workers_closed.wait(self._close_within_s + _LAST_REPORT_WAIT_S)
            for worker, each in self.aggregator.workers.items():
                if each.state == "running":
                    self.aggregator.worker_lost(worker, time.time())
        elif isinstance(self.runner, LocalRunner):
            self._close()

    def _on_test_stop(self, **_: Any) -> None:
        if not isinstance(self.runner, WorkerRunner):
            self.aggregator.end_run(time.time())

    def _close(self) -> None:
        if self.generator is None:
            return
        aborted = self.generator.close(self._close_within_s)
        if aborted:
            log.warning("wscheck: the server did not close %d connections in time; they were aborted", aborted)
        self._report()
        self.generator.reactor.close()
        self.generator = None

    def _on_close_request(self, **_: Any) -> None:
        self._close()
        self.runner.send_message(_CLOSED_MESSAGE)

    def _on_worker_closed(self, msg: Any, **_: Any) -> None:
        self.aggregator.worker_closed(msg.node_id)
        self._check_all_closed()

    def _check_all_closed(self) -> None:
        if all(each.state != "running" for each in self.aggregator.workers.values()):
            self._all_workers_closed.set()


_processes: dict[int, LocustProcess] = {}


def locust_process_for(environment: Any) -> LocustProcess:
    """Return the LocustProcess of this Locust environment, which must have a runner. Create it at the first call."""
    if id(environment) not in _processes:
        _processes[id(environment)] = LocustProcess(environment)
    return _processes[id(environment)]


def _on_command_line_parser(parser: Any, **_: Any) -> None:
    add_arguments(parser)


def _on_init(environment: Any, **_: Any) -> None:
    locust_process_for(environment)


_hooks: Any = events
_hooks.init_command_line_parser.add_listener(_on_command_line_parser)
_hooks.init.add_listener(_on_init)


class _WaitingUser(Greenlet):  # type: ignore[misc]  # gevent's compiled classes have no types
    """Greenlet that stops a user. It is started only when the user is to stop."""

    spawning_stack_limit = 0  # gevent keeps ten frames of the code that creates a greenlet, which take half a kilobyte

    def __init__(self, user: "SocketUser") -> None:
        super().__init__(None, user)

    def _run(self, user: "SocketUser") -> None:
        user.on_stop()


class SocketUser(User):
    """A user whose page opens real-time connections as `profile` describes.

    profile     a key of `LOAD_PROFILES`
    components  components of the page; each has at most one connection at a time

    The connections need no greenlet. The user's own greenlet emits events. If the class neither emits nor overrides
    what happens at the start and then, its users have a greenlet only while they stop, because a waiting greenlet takes
    four times the memory of a connection.
    """

    abstract = True
    profile = "unified"

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        # Attributes that are first set after the constructor would take 300 bytes more per user.
        self._group = None
        self._number = 0
        self.user_connections: UserConnections | None = None
        self.components: list[PageComponent] = []

    def on_start(self) -> None:
        started = locust_process_for(self.environment).add_user(self.profile)
        if started is not None:
            self._number, self.user_connections, self.components = started

    def on_stop(self) -> None:
        if self.user_connections is not None:
            locust_process_for(self.environment).remove_user(self._number, self.user_connections)

    def start(self, group: Group) -> Greenlet:
        """Start the user. Return its greenlet, which is in `group`."""
        if not self._only_waits():
            self._greenlet, self._group = super().start(group), group
            return self._greenlet
        self._greenlet, self._group, self._state = _WaitingUser(self), group, LOCUST_STATE_WAITING
        group.add(self._greenlet)
        self.on_start()
        if self._number % _USERS_PER_PAUSE == 0:
            gevent.sleep(0)
        return self._greenlet

    def _only_waits(self) -> bool:
        """Return whether the user only opens its connections and then waits until it is stopped."""
        own = type(self)
        is_changed = own.on_start is not SocketUser.on_start or own.wait_time is not SocketUser.wait_time
        return not is_changed and self.tasks == SocketUser.tasks and not self._emit_every_s

    def stop(self, force: bool = False) -> bool:
        """Stop the user. Return whether it has stopped already; otherwise it stops after its current task."""
        greenlet = self._greenlet
        if not isinstance(greenlet, _WaitingUser):
            return bool(super().stop(force))
        greenlet.start()
        greenlet.join()
        return True

    def wait_time(self) -> float:
        if not self._emit_every_s:
            # Wait until the user is stopped. A timer that never fires would cost half as much as a connection.
            gevent.get_hub().switch()
        return self._emit_every_s

    @task
    def emit_configured_event(self) -> None:
        """Emit the event that --emit-event names."""
        if self._emit_every_s:
            options = self.environment.parsed_options
            self.emit(options.emit_event, *self._emit_arguments(), ack=not options.no_acks)

    def _emit_arguments(self) -> tuple[Any, ...]:
        """Return a tuple with the payload of --emit-payload for this user; an empty tuple if there is no payload."""
        process = locust_process_for(self.environment)
        if process.emit_payload is None or process.generator is None or self.user_connections is None:
            return ()
        connections = self.user_connections
        credentials = Credentials(connections.user, connections.identity.token)
        return (process.generator.endpoint.target.fill(process.emit_payload, credentials),)

    @property
    def _emit_every_s(self) -> float:
        return locust_process_for(self.environment).behaviour(self.profile).emit_every_s

    def emit(self, name: str, *arguments: object, ack: bool = True) -> bool:
        """Send an event on the connection of the first component and return at once.

        With `ack`, the acknowledgement becomes a Locust request of type WS. Return False if there is no open
        connection.
        """
        on_ack = self._report_ack(name) if ack else None
        return bool(self.components) and self.components[0].emit(name, *arguments, on_ack=on_ack)

    def call(self, name: str, *arguments: object) -> list[Any] | None:
        """Send an event on the connection of the first component and wait for the acknowledgement.

        Return the arguments of the acknowledgement. Return None if there is no open connection, or no acknowledgement
        arrives within --ack-timeout.
        """
        result: AsyncResult = AsyncResult()
        report_ack = self._report_ack(name)

        def on_ack(answer: list[Any] | None, ms: float) -> None:
            report_ack(answer, ms)
            result.set(answer)

        if not self.components or not self.components[0].emit(name, *arguments, on_ack=on_ack):
            return None
        try:
            answer: list[Any] | None = result.get(timeout=self.environment.parsed_options.ack_timeout + 1.0)
        except Timeout:  # the connection ended before the acknowledgement
            return None
        return answer

    def _report_ack(self, name: str) -> AckCallback:
        """Return a callback that reports the acknowledgement of event `name` as a Locust request."""
        fire = self.environment.events.request.fire

        def on_ack(answer: list[Any] | None, ms: float) -> None:
            problem = TimeoutError("no acknowledgement") if answer is None else None
            fire(request_type="WS", name=name, response_time=ms, response_length=0, exception=problem, context={})

        return on_ack
