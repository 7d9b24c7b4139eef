"""THE LOCUST USER: one user of the application, whose page holds sockets as the profile says."""

from typing import Any

import gevent
from gevent import Timeout
from gevent.event import AsyncResult
from locust import User, events, task

from wscheck.loadgen.options import add_arguments
from wscheck.loadgen.page_component import Component
from wscheck.loadgen.session import Session
from wscheck.loadgen.user_connections import Holding

_sessions: dict[int, Session] = {}


def _add_arguments(parser: Any, **_: Any) -> None:
    add_arguments(parser)


def _begin_session(environment: Any, **_: Any) -> None:
    session_of(environment)


_hooks: Any = events
_hooks.init_command_line_parser.add_listener(_add_arguments)
_hooks.init.add_listener(_begin_session)


def session_of(environment: Any) -> Session:
    """The environment's session; there is one as soon as it has a runner."""
    if id(environment) not in _sessions:
        _sessions[id(environment)] = Session(environment)
    return _sessions[id(environment)]


class SocketUser(User):
    """A user whose page behaves as `profile` says; sockets need no greenlet, this one only waits and emits."""

    abstract = True
    profile = "unified"
    _number = 0
    holding: Holding | None = None
    components: tuple[Component, ...] | list[Component] = ()

    def on_start(self) -> None:
        joined = session_of(self.environment).join(self.profile)
        if joined is not None:
            self._number, self.holding, self.components = joined

    def on_stop(self) -> None:
        if self.holding is not None:
            session_of(self.environment).part(self._number, self.holding)

    def wait_time(self) -> float:
        if not self._every_s:
            # Until it is killed: a timer that never fires would cost each idle user as much as half a connection.
            gevent.get_hub().switch()
        return self._every_s

    @task
    def act(self) -> None:
        """Emit what the options say, on the first component's connection."""
        if self._every_s:
            options = self.environment.parsed_options
            self.emit(options.emit_event, ack=not options.no_acks)

    @property
    def _every_s(self) -> float:
        return session_of(self.environment).behaviour(self.profile).emit_every_s

    def emit(self, name: str, *arguments: Any, ack: bool = True) -> bool:
        """Send an event on the first component's connection; an acknowledgement becomes a Locust request."""
        answered = self._told(name) if ack else None
        return bool(self.components) and self.components[0].emit(name, *arguments, answered=answered)

    def call(self, name: str, *arguments: Any) -> list[Any] | None:
        """Send an event and wait for its acknowledgement's arguments; None when there is none in time."""
        came: AsyncResult = AsyncResult()
        told = self._told(name)

        def answered(answer: list[Any] | None, ms: float) -> None:
            told(answer, ms)
            came.set(answer)

        if not self.components or not self.components[0].emit(name, *arguments, answered=answered):
            return None
        try:
            answer: list[Any] | None = came.get(timeout=self.environment.parsed_options.ack_timeout + 1.0)
        except Timeout:  # the connection ended first
            return None
        return answer

    def _told(self, name: str) -> Any:
        fire = self.environment.events.request.fire

        def answered(answer: list[Any] | None, ms: float) -> None:
            problem = TimeoutError("no acknowledgement") if answer is None else None
            fire(request_type="WS", name=name, response_time=ms, response_length=0, exception=problem, context={})

        return answered
