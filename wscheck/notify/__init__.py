"""Output while logs are followed: each listener receives every event and incident when it happens.

An incident is a finding in a log that is still growing: it opens, grows and is resolved.

listener   the interfaces
lines      one text line per change of an incident, or NDJSON: one line per event and per change of an incident
live_view  the live view on a terminal
delivery   an HTTP POST or a program run per change of an incident, by a separate thread
figures    the metrics, and their counting
metrics    Prometheus metrics and /healthz
otlp       log records and metrics for an OpenTelemetry receiver
"""
