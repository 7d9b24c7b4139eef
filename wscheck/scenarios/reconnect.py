"""The network is lost under the page; it reconnects, and is as it was."""

from wscheck.detect.rules import DOCUMENTED
from wscheck.detect.rules.connection_missing import ConnectionMissing
from wscheck.detect.rules.connection_replaced import ConnectionReplaced
from wscheck.detect.rules.event_missing import EventMissing
from wscheck.scenarios.context import Stage
from wscheck.scenarios.scenario import DASHBOARD, WIZARD, Scenario


class Reconnect(Scenario):
    """A server may notice the new connection before the loss of the old one and replace it: nobody is harmed."""

    id = "reconnect"
    claim = "After the transport was cut the page holds one connection again, and no handler runs twice."
    rules = (*(rule for rule in DOCUMENTED if rule is not ConnectionReplaced), ConnectionMissing, EventMissing)

    async def drive(self, stage: Stage) -> None:
        page = stage.page()
        mounts = [await page.mount(DASHBOARD), await page.mount(WIZARD)]
        for connection in [c for c in page.connections if c.is_connected]:
            await connection.cut()
        await page.reconnect()
        stage.expect("connected", page)
        event = next((e for e in stage.contract.events if e.emit is not None), None)
        if event is None:
            stage.unjudged("no event of the contract can be asked for, so doubled handlers cannot be seen")
        else:
            await stage.ask(event, mounts[0], mounts)
        await stage.watch(max(stage.window / 2, stage.cast.grace * 2))
        stage.expect("connected", page)
