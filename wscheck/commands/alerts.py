"""`wscheck alerts`: alert rules for log engines, made from the words and keys of the configuration."""

import re
import time
from typing import TYPE_CHECKING, Annotated

import typer

from wscheck.commands.options import Connections, Key, Marker, MaxAttempts

if TYPE_CHECKING:
    from wscheck.run.alerts.words import AlertWords


def alerts(
    for_: Annotated[
        str,
        typer.Option(
            "--for",
            metavar="ENGINE",
            help="loki, prometheus, elastic, datadog, cloudwatch or splunk.",
            show_default=False,
        ),
    ],
    source: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="The logs that the rules search: a stream selector, index pattern, log group, or tags.",
        ),
    ] = None,
    structured: Annotated[
        bool,
        typer.Option("--structured", help="The engine has made fields of the ids: elastic and datadog read these."),
    ] = False,
    samples: Annotated[
        bool, typer.Option("--samples", help="Print log lines that trigger the rules, with the current time, instead.")
    ] = False,
    marker: Marker = None,
    key: Key = None,
    max_attempts: MaxAttempts = None,
    connections: Connections = None,
) -> None:
    """Print alert rules for a log engine.

    The rules find what `wscheck tail-logs` reports, by the log messages and keys in your configuration. Comments in the
    output show log lines that trigger each rule, and state what the engine cannot express.
    """
    from wscheck.config.loading import load_config
    from wscheck.model.errors import UnknownName, UsageError
    from wscheck.observe.logs.options import log_vocabulary
    from wscheck.run.alerts import ENGINES
    from wscheck.run.alerts.words import alert_words

    if for_ not in ENGINES:
        raise UnknownName(
            f"--for {for_}: there are no rules for it.", for_, ENGINES, f"Write one of {', '.join(ENGINES)}."
        )
    engine = ENGINES[for_]
    if source is not None and not engine.source:
        raise UsageError(f"--source: rules for {for_} search no logs.", "Leave the option out.")
    if source is not None and not re.fullmatch(engine.source_pattern, source):
        raise UsageError("--source: the text cannot be used in a rule.", f"Write {engine.source_form}.")
    config = load_config({"rules.max_attempts": max_attempts, "policy.connections": connections})
    vocabulary = log_vocabulary(marker or [], key or [], config.tables.get("logs", {}), config.locate_key)
    words = alert_words(vocabulary, config.judge_options, structured=structured)
    text = _samples(for_, words) if samples else engine.render(words, source or engine.source)
    typer.echo(config.redactor.redact(text), nl=False)


def _samples(engine: str, words: "AlertWords") -> str:
    """Return lines that trigger the rules; for Prometheus, unit tests with series that trigger them."""
    from wscheck.run.alerts.formats.prometheus import render_tests
    from wscheck.run.alerts.samples import timed_lines

    if engine == "prometheus":
        return render_tests("wscheck-rules.yaml")
    return "".join(f"{line}\n" for line in timed_lines(words, time.time()))
