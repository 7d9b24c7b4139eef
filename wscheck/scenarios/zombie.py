"""A client that stops answering pings, like a suspended laptop."""

import math

from wscheck.detect.rules.zombie_held import ZombieHeld
from wscheck.scenarios.context import DASHBOARD, ScenarioContext
from wscheck.scenarios.scenario import Scenario


class Zombie(Scenario):
    """A connected client that no longer answers pings.

    Engine.IO closes such a connection after pingInterval + pingTimeout (Engine.IO protocol v4, "Heartbeat").
    python-engineio tests for silent clients only once per pingTimeout, so the close may come that much later.
    """

    id = "zombie"
    claim = "The server closes a client that stops answering pings within pingInterval + pingTimeout."
    rules = (ZombieHeld,)

    async def run(self, context: ScenarioContext) -> None:
        mounted = await context.new_page().mount(DASHBOARD)
        connection = mounted.connection
        if connection is None or not connection.is_connected:
            return context.mark_not_evaluated("the client could not connect, so it could not stop answering pings")
        allowed_s = connection.ping_deadline_s + max(1.0, connection.ping_timeout_s)
        if allowed_s > context.settings.target.timeout_s:
            limit = f"--timeout {context.settings.target.timeout_s:g}s"
            return context.skip(
                f"the server may take {allowed_s:g} s to close the connection, longer than {limit}: pass --timeout "
                f"{math.ceil(allowed_s)}s"
            )
        connection.stop_answering_pings()
        pings_before = connection.ping_count
        context.recorder.silenced(connection, allowed_s)
        has_ended = await context.wait_patiently(lambda: not connection.is_connected, allowed_s + 0.1)
        if has_ended and connection.ping_count == pings_before:
            context.mark_not_evaluated(
                "the server ended the connection without a ping, so not because the client stopped answering pings"
            )
        return None
