"""Runs to report on, evaluated by the real rules."""

from dataclasses import dataclass, field

from wscheck.detect.engine import Judge
from wscheck.model.events import (
    AnyEvent,
    CodeLocation,
    Connected,
    Connecting,
    Delivered,
    Disconnected,
    PhaseEnded,
    PhaseStarted,
    Replaced,
)
from wscheck.model.findings import Finding, Verdict
from wscheck.model.report import Control, ScenarioResult, VerifyReport

START = 1_795_000_000.0
DASHBOARD = CodeLocation("src/app/(dashboard)/dashboard/page.tsx", 42, 9, "useBotWebSocket")
WIZARD = CodeLocation("src/components/dashboard/bot-creation-wizard.tsx", 118, 5, "useWhatsAppConnection")
OPENER = {"Dashboard": DASHBOARD, "BotCreationWizard": WIZARD}
EVENTS = ("bot_status_update", "message_sync", "connection_update", "whatsapp_connection_event")


@dataclass
class Script:
    """Builder of events: `opens` and similar methods add events at the current time, `wait` advances it."""

    user: str = "user_123"
    at: float = START
    events: list[AnyEvent] = field(default_factory=list)

    def wait(self, seconds: float) -> "Script":
        self.at += seconds
        return self

    def began(self, scenario: str, phase: str = "subject") -> "Script":
        return self._add(PhaseStarted(at=self.at, source="client", scenario=scenario, phase=phase))

    def ended(self, scenario: str, phase: str = "subject") -> "Script":
        return self._add(PhaseEnded(at=self.at, source="client", scenario=scenario, phase=phase))

    def opens(self, sid: str, component: str = "Dashboard", opener: CodeLocation | None = None) -> "Script":
        attempt = Connecting(
            at=self.at,
            source="client",
            user=self.user,
            page="tab-1",
            component=component,
            opener=opener or OPENER.get(component),
        )
        self._add(attempt)
        self.at += 0.02
        connected = Connected(
            at=self.at,
            source="client",
            user=self.user,
            page="tab-1",
            component=component,
            opener=attempt.opener,
            sid=sid,
            namespace="/",
            transport="websocket",
        )
        return self._add(connected)

    def replaces(self, old: str, new: str) -> "Script":
        self._add(Replaced(at=self.at, source="server-log", user=self.user, old_sid=old, new_sid=new))
        return self.closes(old, "io server disconnect")

    def closes(self, sid: str, reason: str = "io client disconnect") -> "Script":
        return self._add(Disconnected(at=self.at, source="client", user=self.user, sid=sid, reason=reason))

    def delivers(self, sid: str, *names: str) -> "Script":
        for name in names or EVENTS:
            self.at += 0.05
            self._add(Delivered(at=self.at, source="client", user=self.user, sid=sid, name=name, digest=f"{self.at}"))
        return self

    def _add(self, event: AnyEvent) -> "Script":
        self.events.append(event)
        return self


def judged(events: list[AnyEvent], scenario: str) -> list[Finding]:
    judge = Judge()
    for event in events:
        judge.feed(event)
    findings = judge.finish()
    for finding in findings:
        finding.scenario = scenario
    return findings


CONTROL = Control(
    client="per-component",
    did="Dashboard and BotCreationWizard opened one connection each; the server replaced the first.",
    verdict=Verdict.FAILED,
    connections_opened=2,
    connections_peak=2,
    replacements=1,
    findings=["connection-replaced"],
)


def healthy(scenario: str = "single-connection", must_hold: str = "One user holds exactly one connection.") -> Script:
    script = Script().began(scenario).opens("Xb3k9aPq7Lw2").delivers("Xb3k9aPq7Lw2").wait(1.2).closes("Xb3k9aPq7Lw2")
    return script.ended(scenario)


def report(*scenarios: ScenarioResult, **changes: object) -> VerifyReport:
    findings = [finding for scenario in scenarios for finding in scenario.findings]
    verdicts = [scenario.verdict for scenario in scenarios]
    worst = next((v for v in (Verdict.FAILED, Verdict.INCONCLUSIVE) if v in verdicts), Verdict.PASSED)
    fields: dict[str, object] = {
        "schema": "wscheck.verify/1",
        "target": "http://127.0.0.1:43121",
        "verdict": worst,
        "started_at": START,
        "duration_s": sum(scenario.duration_s for scenario in scenarios),
        "findings": findings,
        "scenarios": list(scenarios),
        "options": {"window_s": 2.0},
    }
    return VerifyReport(**(fields | changes))  # type: ignore[arg-type]


CLAIMS = {
    "single-connection": "One user holds exactly one connection while two components use it.",
    "event-handling": "Every contracted event arrives, once, on the one connection.",
    "component-sharing": "Dashboard and wizard share the connection; unmounting the last closes it.",
    "strict-remount": "Mounting, unmounting and mounting again leaves one connection.",
    "reconnect": "After the transport is cut there is one connection, and handlers are not doubled.",
}


def passing() -> tuple[VerifyReport, list[AnyEvent]]:
    results, events, at = [], [], START
    for scenario, claim in CLAIMS.items():
        script = Script(at=at).began(scenario).opens(f"sid-{scenario[:6]}-7Lw2").delivers(f"sid-{scenario[:6]}-7Lw2")
        script.wait(1.1).closes(f"sid-{scenario[:6]}-7Lw2").ended(scenario).began(scenario, "control")
        script.opens(f"ctl-a-{scenario[:6]}").wait(0.2).opens(f"ctl-b-{scenario[:6]}", "BotCreationWizard")
        script.replaces(f"ctl-a-{scenario[:6]}", f"ctl-b-{scenario[:6]}").wait(0.4).closes(f"ctl-b-{scenario[:6]}")
        script.ended(scenario, "control").wait(0.1)
        results.append(
            ScenarioResult(
                id=scenario,
                verdict=Verdict.PASSED,
                must_hold=claim,
                duration_s=script.at - at,
                connections_opened=1,
                connections_peak=1,
                events_received=dict.fromkeys(EVENTS, 1),
                control=CONTROL,
            )
        )
        events += script.events
        at = script.at
    return report(*results), events


def failing(user: str = "user_123") -> tuple[VerifyReport, list[AnyEvent]]:
    """Return a run of two components with one connection each, one inconclusive and one skipped scenario."""
    single = Script(user).began("single-connection").opens("Xb3k9aPq7Lw2").wait(0.1)
    single.opens("Qm8ZtR4vYc1e", "BotCreationWizard").replaces("Xb3k9aPq7Lw2", "Qm8ZtR4vYc1e")
    single.delivers("Qm8ZtR4vYc1e").wait(1.5).closes("Qm8ZtR4vYc1e").ended("single-connection").wait(0.1)
    both = Script(user, single.at).began("race").opens("k1").opens("k2", "BotCreationWizard").wait(1.0)
    both.closes("k1").closes("k2").ended("race")
    found, stayed = judged(single.events, "single-connection"), judged(both.events, "race")
    results = (
        ScenarioResult(
            id="single-connection",
            verdict=Verdict.FAILED,
            must_hold=CLAIMS["single-connection"],
            reason=found[0].message,
            duration_s=single.at - START,
            connections_opened=2,
            connections_peak=2,
            replacements=1,
            events_received=dict.fromkeys(EVENTS, 1),
            control=CONTROL,
            findings=found,
        ),
        ScenarioResult(
            id="race",
            verdict=Verdict.FAILED,
            must_hold="Simultaneous connects of one user end as one.",
            reason=stayed[0].message,
            duration_s=both.at - single.at,
            connections_opened=2,
            connections_peak=2,
            findings=stayed,
        ),
        ScenarioResult(
            id="zombie",
            verdict=Verdict.INCONCLUSIVE,
            must_hold="A client that stops answering pings is let go.",
            reason="The server did not say how long it waits for a pong.",
        ),
        ScenarioResult(
            id="isolation",
            verdict=Verdict.SKIPPED,
            must_hold="Events of one user never reach another.",
            reason="No second credentials: give --second-token-file.",
        ),
    )
    return report(*results, client="per-component", verdict=Verdict.FAILED), single.events + both.events


def looping(rounds: int = 14) -> tuple[VerifyReport, list[AnyEvent]]:
    """Return the known loop: each of two components reconnects 300 ms after its connection was replaced."""
    script, names = Script().began("single-connection"), ("Dashboard", "BotCreationWizard")
    script.opens("s0")
    for n in range(1, rounds + 1):
        script.wait(0.28).opens(f"s{n}", names[n % 2]).replaces(f"s{n - 1}", f"s{n}")
    script.wait(0.2).closes(f"s{rounds}").ended("single-connection")
    found = judged(script.events, "single-connection")
    result = ScenarioResult(
        id="single-connection",
        verdict=Verdict.FAILED,
        must_hold=CLAIMS["single-connection"],
        reason=found[0].message,
        duration_s=script.at - START,
        connections_opened=rounds + 1,
        connections_peak=2,
        replacements=rounds,
        control=CONTROL,
        findings=found,
    )
    return report(result, client="per-component"), script.events
