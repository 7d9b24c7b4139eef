"""Plan of a `wscheck verify` run, from the configuration."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from wscheck.config.loading import Config
from wscheck.config.target import Credentials, configured_target
from wscheck.model.errors import UnknownName, UsageError
from wscheck.observe.client.console_messages import ConsoleLog, discard_line
from wscheck.observe.logs.options import reader_factory as log_reader_factory
from wscheck.run.verify.run import VerifyRun
from wscheck.run.verify.targets import EmbeddedServers, RemoteServer
from wscheck.scenarios import DOCUMENTED_SCENARIOS, SCENARIOS
from wscheck.scenarios.context import DASHBOARD, NEUTRAL_COMPONENTS, WIZARD, ScenarioSettings
from wscheck.scenarios.real_page import RealPage


def plan_verify_run(
    config: Config,
    chosen: Sequence[str],
    markers: Sequence[str] = (),
    keys: Sequence[str] = (),
    *,
    console: ConsoleLog = discard_line,
) -> VerifyRun:
    """Return the run that `config` describes.

    Args:
        config: The configuration.
        chosen: Ids of the scenarios, empty for all.
        markers: Markers (text that identifies an event in a line of the server's log), each as KIND=TEXT.
        keys: Names of fields that contain ids in the server's log, each as FIELD=NAME.
        console: Function that is called with each console line of the simulated client.

    Raises:
        UsageError: Options contradict each other.
    """
    settings, logs = _settings(config), config["verify.server_log"]
    if (markers or keys) and not logs:
        raise UsageError(
            "`logs.markers` and `logs.keys` describe a log, and none was given.", "Add `verify.server_log=PATH`."
        )
    reader_factory = partial(log_reader_factory, markers, keys, config.tables.get("logs", {}), config.locate_key)
    servers = RemoteServer(settings, logs, reader_factory) if config.server_url else EmbeddedServers(settings)
    if isinstance(servers, EmbeddedServers) and logs:
        raise UsageError(
            "`verify.server_log` was given without a URL: the embedded backend's log is read anyway.",
            "Give the URL of the server that writes this log.",
        )
    _check_options(config)
    return VerifyRun(
        servers=servers,
        scenarios=_scenarios(chosen),
        client=config["verify.client"],
        options=config.judge_options,
        bar=config.bar,
        page=_page(config, servers, chosen),
        console=console,
    )


def _check_options(config: Config) -> None:
    """Raise UsageError for options that would have no effect or an unexpected one."""
    delay, timeout = config.values["verify.reconnect_on_kick"], config.values["target.timeout"]
    token = config.values["identity.token"]
    if token.value is not None and config.server_url is None:
        raise UsageError(
            f"{token.origin} was given without a URL: the embedded backend has tokens of its own.",
            "Give the URL of the server that the token is for; to check the embedded backend, leave the token out.",
        )
    if delay.given and config["verify.client"] == "unified":
        raise UsageError(
            "`verify.reconnect_on_kick` was given for the unified client, which never reconnects after a replacement.",
            "Add `verify.client=per-component`.",
        )
    if not timeout.value:
        raise UsageError(
            f"{timeout.origin}: the time for a connection must be greater than 0.", "Write `target.timeout=20s`."
        )


def _page(config: Config, servers: EmbeddedServers | RemoteServer, chosen: Sequence[str]) -> RealPage | None:
    if (url := config["verify.page"]) is None:
        return None
    if isinstance(servers, EmbeddedServers):
        raise UsageError("`verify.page` was given without the server's URL.", "Give both: URL and `verify.page=PAGE`.")
    documented = [scenario.id for scenario in DOCUMENTED_SCENARIOS]
    if chosen and not set(chosen) & set(documented):
        raise UsageError(
            "`verify.page` runs the documented scenarios, and none of them was chosen.",
            f"Choose from: {', '.join(documented)}.",
        )
    from wscheck.observe.browser.storage import load_storage_state
    from wscheck.observe.traffic import IdentityRule

    state, program = config["browser.storage_state"], config["browser.browser"]
    return RealPage(
        url=url,
        steps=config.steps,
        storage_state=load_storage_state(Path(state)) if state else None,
        identity=IdentityRule.parse(config["browser.identity"]),
        source_root=config["browser.source_root"] or "",
        browser_program=Path(program) if program else None,
        cdp_url=config["browser.cdp"],
        insecure=config["target.insecure"],
    )


def _scenarios(chosen: Sequence[str]) -> list[str]:
    for name in chosen:
        if name not in SCENARIOS:
            otherwise = f"Choose from: {', '.join(SCENARIOS)}."
            raise UnknownName(f"Unknown scenario `{name}`.", name, SCENARIOS, otherwise)
    return [name for name in SCENARIOS if not chosen or name in chosen]


def _settings(config: Config) -> ScenarioSettings:
    return ScenarioSettings(
        target=configured_target(config),
        user=Credentials(config["identity.user_id"], config["identity.token"]),
        second_user=_second_user(config),
        contract=config.contract,
        components=_components(config),
        contract_is_assumed=config.server_url is not None and config.tables.get("event") is None,
        client=config["verify.client"],
        reconnect_delay_s=config["verify.reconnect_on_kick"],
        window_s=config["verify.window"],
        grace_s=config["rules.grace"],
        max_attempts=config.judge_options.max_attempts,
        attempts_window_s=config.judge_options.attempts_window_s,
        trigger_event=config["actions.trigger"],
        disconnect_event=config["actions.disconnect"],
        anonymous=config["connect.anonymous"],
        expired_token=config["identity.expired_token"],
        policy=config.judge_options.policy,
    )


def _components(config: Config) -> tuple[str, str]:
    """Return the names of the two simulated components."""
    if not (given := config["actions.components"]):
        return (DASHBOARD, WIZARD) if config.server_url is None else NEUTRAL_COMPONENTS
    if len(set(given)) != 2:
        raise UsageError(
            f"{config.values['actions.components'].origin}: two different components are needed.",
            'Write components = ["Header", "Chat"].',
        )
    return given[0], given[1]


def _second_user(config: Config) -> Credentials | None:
    user = config["identity.second_user_id"]
    if user is None:
        if config["identity.second_token"] is not None:
            raise UsageError("There is a second token but no second user.", "Give `identity.second_user_id`.")
        return None
    if user == config["identity.user_id"]:
        raise UsageError(f"`identity.second_user_id` is the first user, {user}.", "Give the id of another user.")
    return Credentials(user, config["identity.second_token"])
