"""One file per command: parse, call, exit. Nothing heavy is imported before a command runs."""
