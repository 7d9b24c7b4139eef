"""Alert rules for log engines: one file per engine.

engine     what all engines share: texts about the rules, comments
patterns   regular expressions and fixed texts for words and keys
samples    lines that trigger each rule
words      the words, keys and limits of a configuration
"""

from wscheck.run.alerts import cloudwatch, datadog, elastic, loki, prometheus, splunk
from wscheck.run.alerts.engine import Engine

ENGINES: dict[str, Engine] = {
    "loki": loki.ENGINE,
    "prometheus": Engine(prometheus.render),
    "elastic": elastic.ENGINE,
    "datadog": datadog.ENGINE,
    "cloudwatch": cloudwatch.ENGINE,
    "splunk": splunk.ENGINE,
}
"""The engines by the name that `--for` uses."""
