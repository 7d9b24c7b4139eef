"""A client that stops answering pings, like a suspended laptop."""

import math

from wscheck.config.target import EVENT_STREAM
from wscheck.detect.rules.zombie_held import ZombieHeld
from wscheck.scenarios.context import DASHBOARD, ScenarioContext, ScenarioSettings
from wscheck.scenarios.scenario import Scenario

PATIENT_S = 65.0
"""Time to wait for pings (seconds) after which their absence is missing evidence. The usual servers ping more often."""


class Zombie(Scenario):
    """A connected client that no longer answers pings.

    Engine.IO closes such a connection after pingInterval + pingTimeout (Engine.IO protocol v4, "Heartbeat").
    python-engineio tests for silent clients only once per pingTimeout, so the close may come that much later. A raw
    WebSocket announces no times: its server must close the connection within the time of four pings (RFC 6455, section
    5.5.2), if it goes on sending them.
    """

    id = "zombie"
    claim = "The server closes a client that stops answering pings within pingInterval + pingTimeout."
    rules = (ZombieHeld,)

    def skip_reason(self, settings: ScenarioSettings) -> str:
        """Return the reason why the scenario does not apply to this server, "" if it applies."""
        if settings.target.protocol == EVENT_STREAM:
            return "the client of a stream answers nothing, so its server cannot notice that it fell silent"
        return ""

    async def run(self, context: ScenarioContext) -> None:
        mounted = await context.new_page().mount(DASHBOARD)
        connection = mounted.connection
        if connection is None or not connection.is_connected:
            return context.mark_not_evaluated("the client could not connect, so it could not stop answering pings")
        allowed_s = await connection.silence_limit_s()
        if isinstance(allowed_s, str):
            is_patient = context.settings.target.timeout_s >= PATIENT_S
            return context.mark_not_evaluated(allowed_s) if is_patient else context.skip(allowed_s)
        if allowed_s > context.settings.target.timeout_s:
            limit = f"--timeout {context.settings.target.timeout_s:g}s"
            return context.skip(
                f"the server may take {allowed_s:g} s to close the connection, longer than {limit}: pass --timeout "
                f"{math.ceil(allowed_s)}s"
            )
        connection.stop_answering_pings()
        pings_before, needed = connection.ping_count, connection.unanswered_pings
        await context.wait_patiently(
            lambda: not connection.is_connected or connection.ping_count - pings_before >= needed, allowed_s
        )
        if connection.is_connected and connection.ping_count - pings_before < needed:
            return context.mark_not_evaluated(
                f"the server sent no second ping to the silent client, and kept its connection for {allowed_s:.1f} s: "
                "it may wait longer for the answer"
            )
        context.recorder.silenced(connection, allowed_s)
        has_ended = await context.wait_patiently(lambda: not connection.is_connected, allowed_s + 0.1)
        if has_ended and connection.ping_count == pings_before:
            context.mark_not_evaluated(
                "the server ended the connection without a ping, so not because the client stopped answering pings"
            )
        return None
