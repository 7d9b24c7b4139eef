"""Rules in the languages of the log engines: one file per engine, registered in `wscheck.run.alerts`."""
