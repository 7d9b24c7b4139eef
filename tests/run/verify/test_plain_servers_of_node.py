"""`wscheck verify` on servers that are not ours: the npm package ws, and server-sent events of Node's http module."""

from tests.node_backend import install, started
from tests.run.verify.runs import describe_outcome, plan_run
from wscheck.model.findings import Verdict
from wscheck.run.verify.run import run_verify

SERVER = "../../bench/_load_plain_server.mjs"


async def test_servers_of_node_keep_one_connection() -> None:
    install()
    with started("node", SERVER) as backend:
        for url in (f"{backend.url.replace('http', 'ws')}/ws", f"{backend.url}/events"):
            run = plan_run("single-connection", url=url, window="200ms", identity__token_in="query.token")
            outcome = await run_verify(run)
            assert outcome.report.verdict is Verdict.PASSED, describe_outcome(outcome)
