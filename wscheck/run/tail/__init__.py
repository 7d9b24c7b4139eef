"""`wscheck tail-logs`: read or follow logs, evaluate them with one ledger, report incidents when they change.

setup   opens the logs and the outputs that a request names
loop    polls until the run ends
watch   evaluates events and notifies listeners
clock   time in the logs
report  the report at the end, with markers for lines in an unknown wording
"""
