"""Tests of the keys that are suggested for users and sockets."""

import json

import pytest

from tests.observe.logs.corpus import corpus, names
from tests.observe.logs.reading import read, read_log
from wscheck.model.events import Connected, Replaced
from wscheck.observe.logs.suggest.column_roles import ConnectionIds
from wscheck.observe.logs.vocabulary import LogVocabulary

SIDS = [f"AbCdEfGhIjKlMnOp{n:04}" for n in range(10)]


def joined(sid: str, **more: object) -> str:
    return f"peer joined conn={sid} {' '.join(f'{key}={value}' for key, value in more.items())}\n"


def left(sid: str, **more: object) -> str:
    return joined(sid, **more).replace("joined", "left")


def keys(log: str, about: ConnectionIds | None = None, kind: str = "connected") -> list[tuple[str, str]]:
    """What is proposed for the lines of one kind, if anything is."""
    extractor, _ = read_log(log)
    found = extractor.suggestions([kind], about) if about is not None else extractor.suggestions([kind])
    return [key for one in found for key in one.keys]


def one_each(*, between: int = 0, key: str = "actor", **more: object) -> str:
    """Two users of a server that keeps one connection each, coming back `between` somebody else's change or not."""
    return "".join(
        [
            joined("c-1x", **{key: "ada"}, **more),
            joined("c-2x", **{key: "bob"}, **more),
            joined("c-3x", **{key: "ada"}, **more),
            *[joined("c-9x", **{key: "eve"}, **more)] * between,
            left("c-1x", reason="replaced"),
            joined("c-4x", **{key: "bob"}, **more),
            left("c-2x", reason="replaced"),
        ]
    )


@pytest.mark.parametrize("key", ["who", "uid", "memberId", "member", "customer", "sub", "email", "phone", "ownerUid"])
def test_a_key_named_after_a_person_is_the_user(key: str) -> None:
    assert keys(joined(SIDS[0], **{key: "ada"})) == [("user", key), ("sid", "conn")]


@pytest.mark.parametrize(
    "more",
    [
        {"userAgent": "Firefox/140"},
        {"accountType": "free"},
        {"users": "28"},
        {"emailVerified": "true"},
        {"member": "true"},
        {"who": "10.0.0.7"},
        {"who": "10.0.0.7:51234"},
        {"client": "web"},
        {"room": "lobby"},
        {"customer": "acme", "member": "ada"},
    ],
    ids=str,
)
def test_an_ambiguous_key_is_not_suggested(more: dict[str, str]) -> None:
    assert keys(joined(SIDS[0], **more) + joined(SIDS[1], **more)) == []


def test_of_two_person_keys_the_one_with_more_values_is_the_user() -> None:
    log = "".join(joined(sid, customer="acme", member=who) for sid, who in zip(SIDS, "abcab", strict=False))
    assert keys(log) == [("user", "member"), ("sid", "conn")]


def test_a_server_with_one_connection_per_user_identifies_the_user_key() -> None:
    log = one_each(room="lobby", ip="10.0.0.7", seq=7)
    assert keys(log) == [("user", "actor"), ("sid", "conn")]
    assert keys(log, kind="disconnected") == [("sid", "conn")]
    [hint] = read_log(log)[0].suggestions(["connected"])
    users = [event.user for event in read(log, wording=hint.add_to(LogVocabulary())) if isinstance(event, Connected)]
    assert users == ["ada", "bob", "ada", "bob"]


@pytest.mark.parametrize(
    "log",
    [
        pytest.param(one_each(between=1), id="a room is joined before another left it"),
        pytest.param(one_each(key="room").replace("bob", "ada"), id="never two of them at once"),
        pytest.param(joined("c-1x", actor="ada") + joined("c-2x", actor="bob") + left("c-1x"), id="nobody came back"),
        pytest.param(one_each(origin="a.example").replace("origin", "device").replace("ada device=a", "ada device=b"),
                     id="two keys do the same"),
        pytest.param(one_each(key="peer").replace("c-", "1"), id="sockets that may be numbers of anything"),
        pytest.param(one_each(key="peer").replace("c-", "09:30:0").replace("x", ""), id="times"),
        pytest.param(joined("c-1x", who="ada") + joined("c-2x", who="bob"), id="sockets that never come again"),
    ],
)  # fmt: skip
def test_without_a_name_nothing_is_told_where_that_leaves_a_doubt(log: str) -> None:
    assert {key for key in keys(log) if key != ("user", "who")} == set()


def test_sockets_of_another_shape_are_told_by_users_who_come_back() -> None:
    log = joined("c-1x", who="ada") + left("c-1x") + joined("c-2x", who="ada") + joined("c-3x", who="bob")
    assert keys(log) == [("user", "who"), ("sid", "conn")]


def test_the_old_and_the_new_socket_by_which_came_first() -> None:
    moved = f"session replaced who=ada to={SIDS[1]} from={SIDS[0]}\n"
    log = joined(SIDS[0], who="ada") + joined(SIDS[1], who="ada") + moved
    assert keys(log, kind="replaced") == [("user", "who"), ("old", "from"), ("new", "to")]
    [hint] = read_log(log)[0].suggestions(["replaced"])
    [event] = [each for each in read(log, wording=hint.add_to(LogVocabulary())) if isinstance(each, Replaced)]
    assert (event.user, event.old_sid, event.new_sid) == ("ada", *SIDS[:2])


def test_of_two_keys_that_look_like_sockets_the_one_that_comes_again() -> None:
    batched = zip(SIDS[1::2], SIDS[::2], strict=True)
    both = "".join(f"peer joined who=ada eio={a} conn={b}\n" for a, b in batched)
    assert keys(both) == [("user", "who")]
    assert keys(both + left(SIDS[0])) == [("user", "who"), ("sid", "conn")]


def test_a_key_that_no_option_could_name_is_not_proposed() -> None:
    for key in ("user=id", "who\x1b[2J", "member\n"):
        log = json.dumps({"msg": "peer joined", "conn": SIDS[0], key: "ada"}) + "\n"
        assert keys(log) == [("sid", "conn")], key


def test_of_two_keys_that_hold_a_known_user_the_one_that_is_called_so() -> None:
    about = ConnectionIds((SIDS[0],), ("user_123",))
    assert keys(joined(SIDS[0], room="user_123", who="user_123"), about) == [("user", "who"), ("sid", "conn")]
    assert keys(joined(SIDS[0], room="user_123", actor="user_123"), about) == []


def test_the_keys_may_stand_below_the_sentence() -> None:
    log = f"peer joined\n• conn: {SIDS[0]}\n• who: ada\nlistening on port=8000\n"
    assert keys(log) == [("user", "who"), ("sid", "conn")]


def test_ids_that_are_known_are_found_under_any_key_and_only_records_that_tell_of_them_count() -> None:
    others = "".join(joined(f"x{n}", actor=f"u{n}", n=n) for n in range(50))
    log = others + joined("mine-1", actor="user_123", n=1) + left("mine-1", n=1) + others
    about = ConnectionIds(("mine-1",), ("user_123",))
    assert keys(log) == []
    assert keys(log, about) == [("user", "actor"), ("sid", "conn")]
    [hint] = read_log(log)[0].suggestions(["connected"], about)
    assert "mine-1" in hint.example
    assert keys(log, ConnectionIds(("nobody's",), ())) == []


OTHERWISE = {
    b"WebSocket client connected": b"peer joined",
    b"WebSocket client disconnected": b"peer left",
    b"Replacing existing socket for user": b"session replaced",
    **dict.fromkeys((b"oldSocketId", b"old_socket_id"), b"from"),
    **dict.fromkeys((b"newSocketId", b"new_socket_id"), b"to"),
    **dict.fromkeys((b"socketId", b"socket_id"), b"conn"),
}


def test_of_the_logs_of_real_loggers_no_key_is_proposed_that_is_another() -> None:
    right = 0
    for name in names("server"):
        log = corpus()[name][0]
        for documented, other in OTHERWISE.items():
            log = log.replace(documented, other)
        extractor, _ = read_log(log[: 1 << 14])
        proposed = {key for one in extractor.suggestions(("connected", "replaced", "disconnected")) for key in one.keys}
        assert proposed <= {("user", "actor"), ("sid", "conn"), ("old", "from"), ("new", "to")}, name
        right += len(proposed)
    assert right > 1.5 * len(names("server"))
