"""`wscheck verify`: drive the scenarios at a server, gather what every source saw, and judge."""
