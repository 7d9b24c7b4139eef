"""ONE RUN in one Locust process: wires Locust's events to the swarm, and the workers' reports to the board."""

import logging
import os
import resource
import time
from typing import Any

import gevent
from gevent.event import Event
from locust.runners import LocalRunner, MasterRunner, WorkerRunner

from wscheck.loadgen import web
from wscheck.loadgen.aggregator import Board, packed, unpacked
from wscheck.loadgen.endpoint import Endpoint, SetupError
from wscheck.loadgen.options import endpoint_of, roster_of, told
from wscheck.loadgen.page_component import Component
from wscheck.loadgen.profile_behaviour import Behaviour, behaviour_of
from wscheck.loadgen.swarm import Swarm
from wscheck.loadgen.user_connections import Holding
from wscheck.loadgen.user_pool import Roster
from wscheck.model.load_statistics import RunStarted

REPORT, SHARE, CLOSE, CLOSED = "wscheck_report", "wscheck_share", "wscheck_close", "wscheck_closed"
_ALONE = "local"
_PATIENCE_S = 5.0
_APART = 10_000_000
_OWN_FILES = 64

log = logging.getLogger(__name__)


class Session:
    """In a single process both `swarm` and `board` are at work; a master has no swarm, a worker's board stays empty."""

    def __init__(self, environment: Any) -> None:
        self.environment, self.runner = environment, environment.runner
        self.swarm: Swarm | None = None
        self.roster = Roster("", None)
        self._behaviours: dict[str, Behaviour] = {}
        self.board = Board(os.environ.get("WSCHECK_LOAD_STREAM"))
        self._share = (0, 1)
        self._closed = Event()
        self._listen()
        if environment.web_ui is not None:
            web.serve(environment.web_ui, self.board, environment.parsed_options.web_base_path)
        # Locust counts --run-time from the loop's own clock, which stood still while everything was imported.
        gevent.get_hub().loop.update_now()
        gevent.spawn(self._every_second)

    @property
    def profiles(self) -> list[str]:
        """Those of the locustfile's user classes: one, or several that are run at once."""
        return sorted({each.profile for each in self.environment.user_classes if hasattr(each, "profile")})

    def behaviour(self, profile: str) -> Behaviour:
        """What a page of that profile does."""
        if profile not in self._behaviours:
            self._behaviours[profile] = behaviour_of(profile, self.environment.parsed_options)
        return self._behaviours[profile]

    def _listen(self) -> None:
        events = self.environment.events
        events.test_start.add_listener(self._started)
        events.test_stopping.add_listener(self._stopping)
        events.test_stop.add_listener(self._stopped)
        if isinstance(self.runner, MasterRunner):
            self.runner.register_message(REPORT, self._reported)
            self.runner.register_message(CLOSED, self._worker_closed)
            events.worker_connect.add_listener(self._came_late)
        elif isinstance(self.runner, WorkerRunner):
            self.runner.register_message(SHARE, self._shared)
            self.runner.register_message(CLOSE, self._close_worker, concurrent=True)

    # --- a run starts ------------------------------------------------------------------------------------------

    def _started(self, **_: Any) -> None:
        options = self.environment.parsed_options
        try:
            endpoint = endpoint_of(self.environment.host, options)
            self.roster = roster_of(options)
        except SetupError as problem:
            self.swarm = None
            self._give_up(str(problem))
            return
        self._behaviours.clear()
        if isinstance(self.runner, MasterRunner):
            self._share_out()
        else:
            self.roster.position, self.roster.of = self._share
            self._look_at_limits()
            self.swarm = Swarm(endpoint, self._tell_connect)
            self.swarm.tally.roll(time.time())
        if not isinstance(self.runner, WorkerRunner):
            self._begin(endpoint)

    def _look_at_limits(self) -> None:
        """Take all the files we may have, and say beforehand when that is too few."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < hard:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        each = max((len(self.behaviour(profile).components) for profile in self.profiles), default=1)
        wanted = (self.runner.target_user_count or 0) * each
        if wanted + _OWN_FILES > hard:
            log.warning("wscheck: %d connections are wanted and `ulimit -n` allows %d files", wanted, hard)

    def _give_up(self, problem: str) -> None:
        log.error("wscheck: %s", problem)
        self.environment.process_exit_code = 2
        if not isinstance(self.runner, WorkerRunner):
            gevent.spawn(self.runner.quit)

    def _share_out(self) -> None:
        clients = self.runner.clients
        workers = [client.id for client in (*clients.ready, *clients.running, *clients.spawning)]
        for position, worker in enumerate(workers):
            self.runner.send_message(SHARE, {"position": position, "of": len(workers)}, worker)

    def _came_late(self, client_id: str, **_: Any) -> None:
        """A worker that joins a run gets numbers that nobody else will reach."""
        if self.board.state == "running" and client_id not in self.board.workers:
            index = len(self.board.workers)
            self.board.expect(client_id, index)
            self.runner.send_message(SHARE, {"position": index * _APART, "of": 1}, client_id)

    def _begin(self, endpoint: Endpoint) -> None:
        clients = self.runner.clients.all if isinstance(self.runner, MasterRunner) else []
        self.board.begin(
            RunStarted(
                profile=" and ".join(self.profiles),
                host=endpoint.target.display_url,
                users=self.runner.target_user_count or 0,
                workers=len(clients),
                started_at=time.time(),
                options=told(self.environment.parsed_options),
            )
        )
        for index, client in enumerate(clients):
            self.board.expect(client.id, index)

    def _shared(self, msg: Any, **_: Any) -> None:
        self._share = (msg.data["position"], msg.data["of"])

    # --- users -------------------------------------------------------------------------------------------------

    def join(self, profile: str) -> tuple[int, Holding, list[Component]] | None:
        """One more user, with its components opening; None at the end of a run, or when there is no user left."""
        swarm = self.swarm
        if swarm is None or swarm.is_closing:
            return None
        try:
            number, credentials = self.roster.take()
        except SetupError as problem:
            self._give_up(str(problem))
            return None
        holding = Holding(swarm, credentials.user, swarm.endpoint.presented(credentials))
        components = [Component(swarm, holding, habits) for habits in self.behaviour(profile).components]
        swarm.join(holding, components)
        return number, holding, components

    def part(self, number: int, holding: Holding) -> None:
        """A user stopped."""
        if self.swarm is not None:
            self.swarm.part(holding)
            self.roster.give_back(number)

    def _tell_connect(self, ms: float, refused: str | None) -> None:
        self.environment.events.request.fire(
            request_type="WS",
            name="connect",
            response_time=ms,
            response_length=0,
            exception=ConnectionError(refused) if refused else None,
            context={},
        )

    # --- every second ------------------------------------------------------------------------------------------

    def _every_second(self) -> None:
        while True:
            gevent.sleep(1.0 - time.time() % 1.0 + 0.002)
            self._report()
            if not isinstance(self.runner, WorkerRunner) and self.board.state in ("running", "stopping"):
                self._look_for_the_lost()
                self.board.tick(time.time())

    def _report(self) -> None:
        if self.swarm is None:
            return
        if not self.swarm.is_closing:
            self.swarm.tally.roll(time.time())
        report = self.swarm.tally.take()
        if isinstance(self.runner, WorkerRunner):
            self.runner.send_message(REPORT, {"report": packed(report)})
        elif self.board.state in ("running", "stopping"):
            self.board.take(_ALONE, report, time.time())

    def _reported(self, msg: Any, **_: Any) -> None:
        if self.board.state in ("running", "stopping"):
            self.board.take(msg.node_id, unpacked(msg.data["report"]), time.time())

    def _look_for_the_lost(self) -> None:
        if not isinstance(self.runner, MasterRunner):
            return
        clients = self.runner.clients
        alive = {client.id for client in clients.all} - {client.id for client in clients.missing}
        for worker in self.board.workers:
            if worker not in alive:
                self.board.lose(worker, time.time())

    # --- a run ends --------------------------------------------------------------------------------------------

    @property
    def _close_s(self) -> float:
        return float(self.environment.parsed_options.close_timeout) + 1.0

    def _stopping(self, **_: Any) -> None:
        if self.board.begun is not None:
            self.board.state = "stopping"
        if isinstance(self.runner, MasterRunner):
            self._closed.clear()
            self.runner.send_message(CLOSE)
            self._note_closed()
            self._closed.wait(self._close_s + _PATIENCE_S)
            for worker, each in self.board.workers.items():
                if each.state == "running":
                    self.board.lose(worker, time.time())
        elif isinstance(self.runner, LocalRunner):
            self._close()

    def _stopped(self, **_: Any) -> None:
        if not isinstance(self.runner, WorkerRunner):
            self.board.end(time.time())

    def _close(self) -> None:
        if self.swarm is None:
            return
        left = self.swarm.close(self._close_s)
        if left:
            log.warning("wscheck: %d connections were not closed by the server in time and were cut", left)
        self._report()
        self.swarm.reactor.close()
        self.swarm = None

    def _close_worker(self, **_: Any) -> None:
        self._close()
        self.runner.send_message(CLOSED)

    def _worker_closed(self, msg: Any, **_: Any) -> None:
        self.board.closed(msg.node_id)
        self._note_closed()

    def _note_closed(self) -> None:
        if all(each.state != "running" for each in self.board.workers.values()):
            self._closed.set()
