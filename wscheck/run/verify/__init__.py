"""`wscheck verify`: run the scenarios against a server, collect the events of all sources, and evaluate them."""
