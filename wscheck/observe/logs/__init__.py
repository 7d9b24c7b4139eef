"""Server logs in any format, as events. docs/logs.md describes the formats and their limits."""
