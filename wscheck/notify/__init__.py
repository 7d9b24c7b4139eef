"""WHO IS TOLD AT ONCE: while logs are followed, each of these hears of every event and incident as it happens.

ndjson    a recording that grows, one line for each event and each change of an incident
lines     one line for each change of an incident, for a person or a log
live      the view on a terminal
courier   what must not hold up the reading (webhook, command) is delivered by a thread of its own
webhook   an HTTP POST for each change of an incident
command   a program for each change of an incident
metrics   Prometheus metrics and /healthz
"""
