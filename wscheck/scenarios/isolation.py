"""Two users at once: the events of one never reach the other."""

from wscheck.detect.rules.event_leaked import EventLeaked
from wscheck.observe.client.page import Page
from wscheck.scenarios.context import Stage
from wscheck.scenarios.scenario import DASHBOARD, Scenario


class Isolation(Scenario):
    id = "isolation"
    claim = "The events of one user never arrive on the connection of another."
    rules = (EventLeaked,)

    async def drive(self, stage: Stage) -> None:
        second = stage.cast.second
        if second is None or (second.token is None and stage.cast.user.token is not None):
            return stage.skip("there is no second user to listen: give --second-user-id and WSCHECK_SECOND_TOKEN")
        asked = [e for e in stage.contract.events if e.emit is not None and e.user is not None]
        if not asked:
            return stage.unjudged("no event of the contract can be asked for and says whose it is")
        listener, other = stage.page("tab-1"), stage.page("tab-2", credentials=second)
        await listener.mount(DASHBOARD)
        mount = await other.mount(DASHBOARD)
        for event in asked:
            await mount.emit(event.emit or "", event.payload)
        heard = await stage.until(lambda: any(stage.received(e.name, other) for e in asked), stage.patience(asked[0]))
        await stage.aftermath()
        return _judge_evidence(stage, listener, heard)


def _judge_evidence(stage: Stage, listener: Page, heard: bool) -> None:
    if not any(connection.is_connected for connection in listener.connections):
        stage.unjudged("the first user's connection did not last, so it could not have heard anything")
    elif not heard:
        stage.unjudged("the second user received none of their own events, so nothing was there to leak")
