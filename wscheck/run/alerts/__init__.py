"""Alert rules for log engines.

engine     description of an engine, texts about the rules, comments
formats    one file per engine
patterns   regular expressions and fixed texts for words and keys
samples    lines that trigger each rule
words      the words, keys and limits of a configuration
"""

from wscheck.run.alerts.engine import Engine
from wscheck.run.alerts.formats import cloudwatch, datadog, elastic, loki, prometheus, splunk

ENGINES: dict[str, Engine] = {
    "loki": loki.ENGINE,
    "prometheus": Engine(prometheus.render),
    "elastic": elastic.ENGINE,
    "datadog": datadog.ENGINE,
    "cloudwatch": cloudwatch.ENGINE,
    "splunk": splunk.ENGINE,
}
"""The engines by the name that `--for` uses."""
