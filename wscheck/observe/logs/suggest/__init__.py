"""Options that would read a log in other words."""
