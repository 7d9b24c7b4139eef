"""Third test of docs/origin.md: components share the connection, which lasts as long as one component is mounted."""

import msgspec

from wscheck.config.event_contract import ContractEvent
from wscheck.observe.client.simulated_page import MountedComponent
from wscheck.scenarios.context import DASHBOARD, NO_REQUEST, WIZARD, ScenarioContext, ScenarioSettings
from wscheck.scenarios.scenario import Scenario


class ComponentSharing(Scenario):
    id = "component-sharing"
    claim = "The connection stays open while one component uses it, and closes when the last one unmounts."

    def skip_reason(self, settings: ScenarioSettings) -> str:
        """Return the reason why the scenario does not apply to this server, "" if it applies."""
        is_silent = settings.contract.first_requestable is None
        return NO_REQUEST if not settings.target.is_socket_io and is_silent else ""

    async def run(self, context: ScenarioContext) -> None:
        page = context.new_page()
        dashboard, wizard = await page.mount(DASHBOARD), await page.mount(WIZARD)
        context.expect("connected", page)
        settings = context.settings
        trigger_reply, disconnect_reply = context.contract.reply_to(settings.trigger_event), _disconnect_reply(context)
        # A server may send the same payload for each request of an event, which is not a duplicate. Each event is
        # therefore requested once only.
        action_events = (None, settings.trigger_event, settings.disconnect_event)
        other = next((event for event in context.contract.events if event.emit not in action_events), None)
        if trigger_reply is not None and other is not None:
            await context.request(trigger_reply, wizard, [dashboard, wizard])
        await dashboard.unmount()
        context.expect("connected", page)
        if (last := other or trigger_reply) is not None:
            await context.request(last, wizard, [wizard])
        elif disconnect_reply is None:
            context.mark_not_evaluated(
                "no event of the contract has an `emit` that requests it: add one to an [[event]] in wscheck.toml"
            )
        if settings.disconnect_event is not None:
            await _disconnect_whatsapp(wizard, context, disconnect_reply)
        context.expect("connected", page)
        await wizard.unmount()
        await context.observe(settings.grace_s * 2)


def _disconnect_reply(context: ScenarioContext) -> ContractEvent | None:
    """Return the reply of the server to the event that `actions.disconnect` configures, None if there is none.

    If the contract contains no reply to this event, the reply to the event of `actions.trigger` is expected for it.
    """
    emitted = context.settings.disconnect_event
    if emitted is None:
        return None
    own_reply = context.contract.reply_to(emitted)
    trigger_reply = context.contract.reply_to(context.settings.trigger_event)
    if own_reply is None and trigger_reply is not None:
        return msgspec.structs.replace(trigger_reply, emit=emitted, payload=None)
    return own_reply


async def _disconnect_whatsapp(wizard: MountedComponent, context: ScenarioContext, reply: ContractEvent | None) -> None:
    """Emit the event that `actions.disconnect` configures, which disconnects WhatsApp in the reference backend.

    Expect that the page stays connected to the server.
    """
    if reply is None:
        await wizard.disconnect_whatsapp()
    else:
        await context.request(reply, wizard, [wizard])
    await context.observe(context.settings.grace_s)
    context.expect("connected", wizard.page)
