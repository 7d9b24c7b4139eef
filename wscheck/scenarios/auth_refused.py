"""Invalid tokens are refused, and the client does not retry repeatedly."""

import base64
import json
import re
import time
from collections.abc import Iterator

import msgspec

from wscheck.config.target import Credentials
from wscheck.detect.rules.excessive_attempts import ExcessiveAttempts
from wscheck.detect.rules.token_unchecked import TokenUnchecked
from wscheck.model.secrets import Secret
from wscheck.observe.client.simulated_page import MountedComponent
from wscheck.scenarios.context import DASHBOARD, WIZARD, WRONG_TOKEN, ScenarioContext, ScenarioSettings
from wscheck.scenarios.scenario import Scenario

CONTROL_ATTEMPTS = 8

MAX_REQUESTS = 3
"""Events of the contract that a connection requests, to find out whether the server answers it."""

REFUSAL_TIMEOUT_S = 5.0
"""Seconds after which an invalid token that the server does not answer counts as refused."""

CLOCK_TOLERANCE_S = 60.0
"""Seconds for which a server may accept an expired token, because clocks differ (RFC 7519, section 4.1.4)."""

UNSIGNED_HEADER = b'{"alg":"none","typ":"JWT"}'
"""Header of an unsecured token (RFC 7519, section 6), which RFC 8725 tells servers to reject."""

_JWT = re.compile(r"(eyJ[\w-]*)\.([\w-]+)\.([\w-]*)")


class AuthRefused(Scenario):
    """Connections without a token, and with an empty, a wrong, an altered, an unsigned and an expired token.

    The altered and the unsigned token are made from the user's own, if that is a JSON web token. The expired token is
    `WSCHECK_EXPIRED_TOKEN`, and the user's own if its claim `exp` has passed. With `[connect] anonymous = true`, the
    first two are not tried.
    """

    id = "auth-refused"
    claim = "The server refuses an invalid token, and the client does not retry repeatedly."
    rules = (TokenUnchecked, ExcessiveAttempts)

    def skip_reason(self, settings: ScenarioSettings) -> str:
        """Return the reason why the scenario does not apply to this server, "" if it applies."""
        if settings.target.is_socket_io or settings.target.sends_token:
            return ""
        return "the client sends no token: set WSCHECK_TOKEN, and name its place with --token-in"

    async def run(self, context: ScenarioContext) -> None:
        accepted = []
        for number, credentials in enumerate(invalid_credentials(context.settings)):
            page = context.new_page(f"tab-{number + 1}", credentials=credentials, timeout_s=REFUSAL_TIMEOUT_S)
            mounted = await page.mount(DASHBOARD)
            if not number:
                await page.mount(WIZARD)
            await _request_events(context, mounted)
            if mounted.is_connected:
                accepted.append(mounted)
        if accepted:
            # The server may close these connections in favour of the user's own, and so show whose they are.
            await _request_events(context, await context.new_page("own tab").mount(DASHBOARD))
        await context.observe(context.window_s / 2)

    async def run_control(self, context: ScenarioContext) -> None:
        """Connect with an invalid token again and again, as a client that retries at once after every refusal.

        The server must refuse the token, or a rule must report the attempts. Otherwise the scenario is inconclusive,
        because it could not have failed at this server.
        """
        invalid = msgspec.structs.replace(context.settings.user, token=WRONG_TOKEN, kind="invalid")
        page = context.new_page(credentials=invalid, fault=True)
        page.is_scripted = False
        for _ in range(CONTROL_ATTEMPTS):
            mounted = await page.mount(DASHBOARD)
            await mounted.unmount()


def invalid_credentials(settings: ScenarioSettings) -> Iterator[Credentials]:
    """Yield the user's id with each token that a server should refuse. A wrong token comes first."""
    user, own = settings.user, settings.user.token
    yield msgspec.structs.replace(user, token=WRONG_TOKEN, kind="invalid")
    if own is None:
        return  # the user has no token, so a connection without one is the user's own
    if not settings.anonymous:
        yield msgspec.structs.replace(user, token=None, kind="absent")
        yield msgspec.structs.replace(user, token=Secret(""), kind="empty")
    if (jwt := _JWT.search(own.reveal())) is not None:
        header, claims, signature = jwt.groups()
        for kind, token in (
            ("altered", f"{header}.{claims}.{_altered(signature)}"),
            ("unsigned", f"{_encoded(UNSIGNED_HEADER)}.{claims}."),
        ):
            text = own.reveal()[: jwt.start()] + token + own.reveal()[jwt.end() :]
            yield msgspec.structs.replace(user, token=Secret(text), kind=kind)
        if _has_expired(claims):
            yield msgspec.structs.replace(user, kind="expired")
    if settings.expired_token is not None:
        yield msgspec.structs.replace(user, token=settings.expired_token, kind="expired")


def _has_expired(claims: str) -> bool:
    """Return whether the claim `exp` of an encoded claims set lies in the past (RFC 7519, section 4.1.4)."""
    try:
        content = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    except (ValueError, RecursionError):
        return False
    expires_at = content.get("exp") if isinstance(content, dict) else None
    if not isinstance(expires_at, int | float) or isinstance(expires_at, bool):
        return False
    return expires_at < time.time() - CLOCK_TOLERANCE_S


def _altered(signature: str) -> str:
    """Return a base64 signature of the same length with another first byte."""
    raw = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4)) or b"\0"
    return _encoded(bytes([raw[0] ^ 0xFF]) + raw[1:])


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


async def _request_events(context: ScenarioContext, mounted: MountedComponent) -> None:
    """Request some events of the contract, and wait until one arrives or the connection ends."""
    page = mounted.page
    requested = [event for event in context.contract.events if event.emit is not None][:MAX_REQUESTS]
    names = {event.name for event in context.contract.events}
    for event in requested if mounted.is_connected else ():
        context.expect("delivered", page, name=event.name, within=event.within)
        await mounted.emit(event.emit or "", event.payload)
    timeout_s = max((*map(context.answer_timeout_s, requested), context.window_s / 2))
    await context.wait_until(
        lambda: not mounted.is_connected or any(context.has_received(name, page) for name in names), timeout_s
    )
