"""Rules for Prometheus, about the metrics of `tail-logs --metrics` (docs/metrics.md)."""

from wscheck.notify.figures import BYTES, FINDINGS, NOTIFICATIONS, OPEN_INCIDENTS, UNREADABLE
from wscheck.run.alerts.engine import alert_name, comment, title
from wscheck.run.alerts.samples import RULES
from wscheck.run.alerts.words import AlertWords

OPEN, FOUND = OPEN_INCIDENTS.name, f"{FINDINGS.name}_total"
HEALTH = (
    (
        "WscheckReadsNothing",
        f"sum by (instance) (increase({BYTES.name}_total[15m])) == 0",
        "wscheck reads nothing: the server logs nothing, or its log is another one",
        f"{BYTES.name}_total",
        "15m",
    ),
    (
        "WscheckCannotRead",
        f"sum by (instance) (increase({UNREADABLE.name}_total[15m])) > 0",
        "wscheck cannot read lines that look like events",
        f"{UNREADABLE.name}_total",
        "",
    ),
    (
        "WscheckDropsMessages",
        f'sum by (instance) (increase({NOTIFICATIONS.name}_total{{result="dropped"}}[15m])) > 0',
        "wscheck cannot deliver its messages to a receiver",
        f'{NOTIFICATIONS.name}_total{{result="dropped"}}',
        "",
    ),
)
"""Alerts about wscheck itself: name, expression, summary, a series that triggers it, and how long it must hold."""

NOTES = (
    "Rules for Prometheus about the metrics of wscheck tail-logs --metrics (or --otlp), made by wscheck alerts.",
    "The words of the log are in none of them: tail-logs reads the log, and applies the limits and the policy.",
    "An incident that opens and resolves between two scrapes is found too. Check the file: promtool check rules FILE.",
)


def render(words: AlertWords, source: str) -> str:
    """Return a rule file for Prometheus."""
    found = "".join(_rule(alert_name(rule), _expression(rule), title(rule), "error") for rule in RULES)
    health = "".join(_rule(name, expr, summary, "warning", wait) for name, expr, summary, _, wait in HEALTH)
    return f"{comment(NOTES)}groups:\n  - name: wscheck\n    rules:\n{found}{health}"


def _expression(rule: str) -> str:
    """Return an expression that holds if an incident of the rule is open, or opened within the last five minutes.

    wscheck exports the counter of incidents with the value 0 from its start, so Prometheus sees the first increase.
    """
    opened = f'sum by (instance) (increase({FOUND}{{rule="{rule}"}}[5m])) > 0'
    return f'max by (instance) ({OPEN}{{rule="{rule}"}}) > 0 or {opened}'


def _rule(name: str, expression: str, summary: str, severity: str, wait: str = "") -> str:
    lines = (
        f"- alert: {name}",
        f"  expr: {expression}",
        *([f"  for: {wait}"] if wait else []),
        "  labels:",
        f"    severity: {severity}",
        "  annotations:",
        f'    summary: "{summary} ({{{{ $labels.instance }}}})"',
    )
    return "".join(f"      {line}\n" for line in lines)


def render_tests(rules_file: str) -> str:
    """Return unit tests for `promtool test rules`: series that trigger each alert."""
    cases = [(alert_name(rule), f'{OPEN}{{rule="{rule}"', "error", title(rule)) for rule in RULES]
    text = comment(("Series that trigger each rule: promtool test rules FILE.",))
    text += f"rule_files: [{rules_file}]\nevaluation_interval: 1m\ntests:\n"
    for name, series, severity, summary in cases:
        text += _test(name, f'{series}, instance="backend"}}', "0 0 1 1 1", "4m", severity, summary)
        found = series.replace(OPEN, FOUND)
        text += _test(
            name, f'{found}, severity="{severity}", instance="backend"}}', "0 0 1 1 1", "4m", severity, summary
        )
    for name, _, summary, series, wait in HEALTH:
        labelled = series.removesuffix("}") + (", " if series.endswith("}") else "{") + 'instance="backend"}'
        values = "1x40" if wait else "0x30 1x10"
        text += _test(name, labelled, values, "35m", "warning", summary)
    return text


def _test(name: str, series: str, values: str, at: str, severity: str, summary: str) -> str:  # noqa: PLR0917
    return (
        f"  - interval: 1m\n    input_series:\n      - series: '{series}'\n        values: {values}\n"
        f"    alert_rule_test:\n      - eval_time: {at}\n        alertname: {name}\n        exp_alerts:\n"
        f"          - exp_labels: {{severity: {severity}, instance: backend}}\n"
        f'            exp_annotations: {{summary: "{summary} (backend)"}}\n'
    )
