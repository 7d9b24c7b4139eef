"""Facts about source code that opens connections: where, in which context, and whether they are closed."""
