"""`wscheck tail-logs`: read or follow logs, judge them with one ledger, tell incidents as they change."""
