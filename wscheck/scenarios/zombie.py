"""A client that stops answering pings, as a closed laptop does, is let go in time."""

from wscheck.detect.rules.zombie_held import ZombieHeld
from wscheck.scenarios.context import Stage
from wscheck.scenarios.scenario import DASHBOARD, Scenario


class Zombie(Scenario):
    """Engine.IO closes after pingInterval + pingTimeout; python-engineio looks only once a pingTimeout."""

    id = "zombie"
    claim = "A client that stops answering pings is closed within pingInterval + pingTimeout."
    rules = (ZombieHeld,)

    async def drive(self, stage: Stage) -> None:
        mount = await stage.page().mount(DASHBOARD)
        connection = mount.connection
        if connection is None or not connection.is_connected:
            return stage.unjudged("no connection was made that could fall silent")
        allowed = connection.reap_after_s + max(1.0, connection.ping_timeout_s)
        if allowed > stage.cast.target.timeout_s:
            limit = f"--timeout {stage.cast.target.timeout_s:g}s"
            return stage.skip(f"the server takes up to {allowed:g} s to notice, longer than {limit}")
        connection.fall_silent()
        stage.witness.silenced(connection, allowed)
        await connection.over(allowed + 0.1)
        return None
