"""Steps after connecting: a connection opens after the last one, and a step that fails is a refusal."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from aiohttp import web

from tests.bad_servers import serving, talking
from tests.loadgen.generators import add_user, in_a_thread, is_open, load_generator, wait_until
from wscheck.config.connect import ConnectOptions, ConnectStep
from wscheck.loadgen.generator import LoadGenerator

LOGIN = ConnectStep(emit="login", payload={"as": "{user}", "key": "{token}"}, ack=True, within=2.0)
WELCOME = ConnectStep(wait_for="welcome", within=0.2)


@contextmanager
def generator_at(*answers: str, closes: bool = False, received: list[str]) -> Iterator[LoadGenerator]:
    """Yield a generator, at a server that sends `answers` after the login."""

    async def talk(ws: web.WebSocketResponse) -> None:
        await ws.send_str('40{"sid":"s1"}')
        received.append(await ws.receive_str())
        for answer in answers:
            await ws.send_str(answer)
        if closes:
            await ws.close()

    connect = ConnectOptions(steps=(LOGIN, WELCOME))
    with (
        in_a_thread(lambda: serving(talking(talk))) as url,
        load_generator(url, target={"connect": connect}) as generator,
    ):
        yield generator


def test_a_connection_opens_after_the_last_step() -> None:
    received: list[str] = []
    with generator_at('42["tick",1]', '430[{"ok":true}]', '42["welcome"]', received=received) as generator:
        (component,) = add_user(generator, "ada", token="key-7")
        counts = generator.counters.current
        wait_until(lambda: counts.connects)
        assert is_open(component)
        assert received == ['420["login",{"as":"ada","key":"key-7"}]']
        assert (counts.connects, counts.received, counts.sent, counts.refused) == (1, 2, 1, {})


@pytest.mark.parametrize(
    ("answers", "closes", "kind"),
    [
        (('430[{"error":"bad key-7"}]',), False, "step 1 after connecting, login: bad hidden-1"),
        (("430[]",), False, "step 2 after connecting, welcome: timeout"),
        (("41",), False, "step 1 after connecting, login: disconnected at once"),
        ((), True, "step 1 after connecting, login: closed by the server"),
    ],
)
def test_a_step_that_fails_is_a_refusal(answers: tuple[str, ...], closes: bool, kind: str) -> None:
    with generator_at(*answers, closes=closes, received=[]) as generator:
        add_user(generator, "ada", token="key-7")
        counts = generator.counters.current
        wait_until(lambda: counts.refused)
        assert (counts.refused, counts.connects, generator.counters.open) == ({kind: 1}, 0, 0)
