"""Documented test 3: the dashboard and the wizard share the connection, and it lives as long as the last of them."""

import msgspec

from wscheck.config.event_contract import ContractEvent
from wscheck.observe.client.page import Mount
from wscheck.scenarios.context import Stage
from wscheck.scenarios.scenario import DASHBOARD, WIZARD, Scenario


class ComponentSharing(Scenario):
    id = "component-sharing"
    claim = "Unmounting one component keeps the other's connection; unmounting the last closes it."

    async def drive(self, stage: Stage) -> None:
        page = stage.page()
        dashboard, wizard = await page.mount(DASHBOARD), await page.mount(WIZARD)
        stage.expect("connected", page)
        trigger, ending = stage.contract.reply_to(stage.cast.trigger), _disconnecting(stage)
        # The same event asked for twice may come with the same payload twice, and be no duplicate.
        acts = (None, stage.cast.trigger, stage.cast.disconnect)
        other = next((event for event in stage.contract.events if event.emit not in acts), None)
        if trigger is not None and other is not None:
            await stage.ask(trigger, wizard, [dashboard, wizard])
        await dashboard.unmount()
        stage.expect("connected", page)
        if (last := other or trigger) is not None:
            await stage.ask(last, wizard, [wizard])
        elif ending is None:
            stage.unjudged("no event of the contract can be asked for: give one in wscheck.toml its `emit`")
        if stage.cast.disconnect is not None:
            await _disconnect_whatsapp(wizard, stage, ending)
        await wizard.unmount()
        await stage.watch(stage.cast.grace * 2)


def _disconnecting(stage: Stage) -> ContractEvent | None:
    """As documented, the event that told of WhatsApp's connection tells of its end, unless the contract has another."""
    emitted = stage.cast.disconnect
    if emitted is None:
        return None
    own, connecting = stage.contract.reply_to(emitted), stage.contract.reply_to(stage.cast.trigger)
    if own is None and connecting is not None:
        return msgspec.structs.replace(connecting, emit=emitted, payload=None)
    return own


async def _disconnect_whatsapp(wizard: Mount, stage: Stage, answer: ContractEvent | None) -> None:
    """It ends the bot's session with WhatsApp, and not the page's with the bot."""
    if answer is None:
        await wizard.disconnect_whatsapp()
    else:
        await stage.ask(answer, wizard, [wizard])
    await stage.watch(stage.cast.grace)
    stage.expect("connected", wizard.page)
