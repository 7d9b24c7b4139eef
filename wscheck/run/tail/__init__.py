"""`wscheck tail-logs`: read or follow logs, evaluate them together, and report incidents when they change.

setup   opens the logs and the outputs that a request names
loop    polls until the run ends: a poll reads everything new in all logs, evaluates it and reports what changed
watch   evaluates events and notifies the outputs (listeners); logs are live if they are being written now
clock   time in the logs
finished  reads logs to their end at once, without outputs
report  the report at the end, with proposed markers for lines that no known marker reads
"""
