"""wscheck proves that a Socket.IO application holds exactly one connection per user.

    scenarios -> client -> sources -> events -> ledger -> rules -> findings -> reporters

`scenarios` say what a client is asked to do, `sources` who saw what happened, `events` what was seen, `ledger` who
holds which connection, `rules` what is wrong, `causes` why, and `reporters` tell. `verify`, `tail`, `browse` and
`swarm` wire them together, one for each command (docs/architecture.md).
"""

__version__ = "0.1.0"
