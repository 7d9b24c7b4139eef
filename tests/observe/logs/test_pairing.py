"""Tests of connections that are found by the structure of a log: other domains, other words."""

import random
from collections.abc import Sequence

import pytest

from tests.counted_calls import counted_calls
from tests.observe.logs.test_wording import PREFIXES, conversation, life, read, sid, told
from wscheck.model.events import Connected, Refused
from wscheck.observe.logs.vocabulary import LogVocabulary
from wscheck.observe.logs.wording.scout import WordingScout

DOMAINS = {
    "kiosks": ("docked kiosk {u} slot {i}", "undocked kiosk {u} slot {i}"),
    "vehicles": ("uplink {i} of vehicle {u} raised", "uplink {i} torn down"),
    "games": ("{u} took seat {i}", "{u} vacated seat {i}"),
    "several words differ": ("{u} hooked up to leg {i}", "leg {i} ({u}) hung up"),
    "paths": ('"WSBEGIN /ws/{u}/" via {i}', '"WSFIN /ws/{u}/" via {i}'),
    "tags": ("[{u}] spliced on {i}", "[{u}] unspliced {i}"),
    "an event in a key": ("craft={u} beam={i} state=locked", "craft={u} beam={i} state=freed"),
    "JSON without a message": (
        '{{"evt":"PAIR","bed":"{u}","mon":"{i}"}}',
        '{{"evt":"UNPAIR","bed":"{u}","mon":"{i}"}}',
    ),
    "keys": ("evt=up who={u} via={i}", "evt=dn via={i}"),
}


@pytest.mark.parametrize("words", DOMAINS)
def test_the_words_of_any_domain_are_learned(words: str) -> None:
    log, expected = conversation(PREFIXES["iso"], DOMAINS[words])
    assert told(read(log, guesses=True)) == [(sign, user if sign == "+" else "", each) for sign, user, each in expected]


def test_users_without_ids_are_learned_although_several_processes_write_the_log() -> None:
    users, words = ("x.lee", "m.kim", "j.doe"), ((0, "came online"), (31, "dropped off"))
    turns = [(at, user, word) for user in users for at, word in words]
    lines = sorted(
        (60 * turn + 7 * number + at, f"[{31 + (turn + number) % 2}] [INFO] {user} {word}")
        for turn in range(2)
        for number, (at, user, word) in enumerate(turns)
    )
    log = "".join(f"[2026-04-02 10:{at // 60:02}:{at % 60:02} +0000] {text}\n" for at, text in lines)
    assert {user for _, user, _ in told(read(log, guesses=True))} == {*users}


@pytest.mark.parametrize("words", [("logged in from", "lost connection"), ("sat down at", "dropped socket")])
def test_ends_of_users_are_read_whatever_their_reasons(words: tuple[str, str]) -> None:
    reasons = ("timed out", "Internal Exception: io.NetError: reset", "kicked by an operator", "no pong: read: refused")
    lines = list[tuple[int, str]]()
    for number, user in enumerate(("x_lee", "m_kim", "jdoe7", "Zed_")):
        for turn in range(4):
            begin = 60 * turn + 7 * number
            lines.append((begin, f"{user} {words[0]} 10.0.{number}.{turn}"))
            lines.append((begin + 29, f"{user} {words[1]}: {reasons[(number + turn) % len(reasons)]}"))
    log = "".join(f"[10:{at // 60:02}:{at % 60:02}] [Main/INFO]: {text}\n" for at, text in sorted(lines))
    events = told(read(log, guesses=True))
    assert [kind for kind, *_ in events].count("+") == [kind for kind, *_ in events].count("-") == 16


def test_unknown_words_are_only_a_guess() -> None:
    log, _ = conversation(PREFIXES["iso"], DOMAINS["kiosks"])
    assert read(log) == []


AT_ONCE = {
    "a label": ('{{"msg":"attendee admitted","attendee":"{u}","sock":"{i}"}}',
                '{{"msg":"attendee dismissed","attendee":"{u}","sock":"{i}"}}'),
    "a logger": ("INFO leitstand.ws Leitung {i} steht: {u}", "INFO leitstand.ws Leitung {i} abgebaut: {u}, Grund 7"),
    "a module": ('{{"mod":"rt.Hub","msg":"{u} beamed","no":"{i}"}}', '{{"mod":"rt.Hub","msg":"{u} faded","no":"{i}"}}'),
    "a noun": ("info: {u} strapped on session {i}", "info: session {i} of {u} unstrapped"),
    "a room as well": ("Desk {u} listens to the waiting room (connection {i})", "Desk {u} is mute (connection {i})"),
    "a place of servers": ("INFO net.Wire - node {u} spliced as {i}", "INFO net.Wire - node {u} unspliced as {i}"),
    "opposites with particles": ("{u} sat down at the table, session {i}", "{u} stood up, session {i}"),
}  # fmt: skip


@pytest.mark.parametrize("words", AT_ONCE)
def test_ids_that_begin_and_end_once_are_connections_if_anything_says_so(words: str) -> None:
    users = ("q.lee", "m.kim", "zed7")
    events = told(read(life(*AT_ONCE[words], users)))
    assert {(sign, user) for sign, user, _ in events if sign == "+"} == {("+", user) for user in users}
    assert [sign for sign, *_ in events] == ["+", "-"] * 9


@pytest.mark.parametrize(
    "words",
    [
        ("INFO bikes.rental bike {i} lent to {u}", "INFO bikes.rental bike {i} returned by {u}"),
        ('{{"msg":"render picked up","by":"{u}","render":"{i}"}}', '{{"msg":"render handed over","render":"{i}"}}'),
        ("INFO ws.Hub {u} began upload {i}", "INFO ws.Hub upload {i} done"),
        ("INFO ws.Hub socket {i} joined room {u}", "INFO ws.Hub socket {i} went from room {u}"),
    ],
)
def test_other_things_with_ids_that_begin_and_end_once_are_no_connections(words: tuple[str, str]) -> None:
    assert read(life(*words, ("q.lee", "m.kim", "zed7"))) == []


def test_connections_of_a_loop_are_read_although_most_of_them_are_brief() -> None:
    lines = [(60.0 * n + half * 50, f"[rt.Hub] {word} u-{n % 4} as {sid(n)}") for n in range(4)
             for half, word in enumerate(("boarded", "unboarded"))]  # fmt: skip
    lines += [(300 + n + half / 5, f"[rt.Hub] {word} u-1 as {sid(n + 10)}") for n in range(60)
              for half, word in enumerate(("boarded", "unboarded"))]  # fmt: skip
    log = "".join(f"2026-05-11 12:{int(at) // 60:02}:{at % 60:06.3f} {text}\n" for at, text in sorted(lines))
    assert [sign for sign, *_ in told(read(log))].count("-") == 64


HANDOVERS = {
    "in one line": ("hub: {u} anew on leg {i}, severing stale leg {old}", "", True),
    "in a line before": ("hub: {u} lands on leg {i}", "hub: {u} is already up on leg {old}, severing that one", False),
    "in other words": ("hub: {u} put on leg {i}", "hub: {u} already holds leg {old}: dropping it", False),
}  # fmt: skip


@pytest.mark.parametrize("form", HANDOVERS)
def test_a_replacement_is_told_from_an_ordinary_end(form: str) -> None:
    again, before, opens = HANDOVERS[form]
    first = "hub: {u} landed on leg {i}" if opens else again
    lines = list[tuple[float, str]]()
    for number, user in enumerate(("u-1", "u-2", "u-3", "u-1", "u-2")):
        lines += [(100 * number, first.format(u=user, i=f"L{number}")),
                  (100 * number + 60, f"hub: leg L{number} of {user} ceased")]  # fmt: skip
    lines.append((600, first.format(u="u-3", i="L600")))
    for at in range(602, 640, 2):
        ids = {"u": "u-3", "i": f"L{at}", "old": f"L{at - 2}"}
        lines += [(at - 0.001, before.format(**ids))] if before else []
        lines += [(at, again.format(**ids)), (at + 0.01, f"hub: leg L{at - 2} of u-3 ceased")]
    log = "".join(f"2026-05-11 12:{int(at) // 60:02}:{at % 60:06.3f} {text}\n" for at, text in sorted(lines))
    events = told(read(log))
    assert [user for sign, user, *_ in events if sign == "+"].count("u-3") == 21
    assert [(sign, user, old) for sign, user, old, *_ in events if sign == "!"] == [
        ("!", "u-3", f"L{at - 2}") for at in range(602, 640, 2)
    ]


def test_a_thread_in_the_line_is_no_user() -> None:
    log = life(
        "(worker-{n}) rt.Hub node {u} spliced as {i}", "(worker-1) rt.Hub node {u} unspliced as {i}", ("b7", "b8")
    )
    assert {user for sign, user, _ in told(read(log)) if sign == "+"} <= {"b7", "b8"}


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        ("lvl=info at=ws.open who={u} cid={i} page=/live", "lvl=info at=ws.close who={u} cid={i} code=1001"),
        ("l=info evt=feed.subscribe acct={u} sub={i}", "l=info evt=feed.unsubscribe acct={u} sub={i}"),
        ("level=info op=userAttached member={u} link={i}", "level=info op=userDetached member={u} link={i}"),
    ],
)
def test_the_event_in_a_key_of_a_line_of_pairs_is_its_message(begin: str, end: str) -> None:
    log = life(f"ts=2026-05-11 {begin}", f"ts=2026-05-11 {end}", ("q.lee", "m.kim", "zed7")).replace(
        "ts=2026-05-11 ", ""
    )
    events = told(read(log.replace("2026-05-11T", "ts=2026-05-11T")))
    assert [user for sign, user, _ in events if sign == "+"] == ["q.lee", "m.kim", "zed7"] * 3
    assert len(events) == 18


def test_known_words_that_the_structure_confirms_are_read() -> None:
    log, expected = conversation(PREFIXES["iso"], ("[{u}] accepted, channel {i}", "[{u}] channel {i} ceased"))
    assert told(read(log)) == [(sign, user if sign == "+" else "", each) for sign, user, each in expected]


def test_the_port_of_an_address_is_the_connection() -> None:
    lines = [
        (at, f'2026-04-02T10:11:{at:02}.000Z 10.4.0.{user}:{port} - - "WS{word} /ws/lobby/"')
        for user in (7, 8)
        for number, port in enumerate((40_100, 40_200))
        for word, at in (("CONNECT", 20 * number + user), ("DISCONNECT", 20 * number + user + 12))
    ]
    events = told(read("".join(f"{line}\n" for _, line in sorted(lines)), guesses=True))
    of_one = [event for event in events if event[1] == "10.4.0.7"]
    assert of_one == [("+", "10.4.0.7", f"10.4.0.7:{port}") for port in (40_100, 40_200)]
    assert len(events) == 8


def test_lines_with_a_user_are_preferred_to_those_with_an_address() -> None:
    lines = list[tuple[int, str]]()
    for number in range(8):
        at, peer, line = 300 * number, f"10.4.0.{number % 3}:{40_100 + 7 * number}", f"leg-{number}a{7 * number}"
        lines += [
            (at, f"WebSocket connection from '{peer}' accepted"),
            (at + 1, f"Bound line '{line}' to extension '60{number % 2}'"),
            (at + 200, f"WebSocket connection from '{peer}' closed"),
            (at + 201, f"Unbound line '{line}' from extension '60{number % 2}'"),
        ]
    log = "".join(f"2026-04-02T10:{at // 60:02}:{at % 60:02}.000Z INFO {text}\n" for at, text in lines)
    assert {user for sign, user, _ in told(read(log, guesses=True)) if sign == "+"} == {"600", "601"}


@pytest.mark.parametrize(
    "words",
    [
        ("job {i} began for {u}", "job {i} ran to completion for {u}"),
        ("order {i} placed by {u}", "order {i} shipped to {u}"),
        ("[{u}] upload {i} begun", "[{u}] upload {i} at 100"),
    ],
)
def test_work_that_begins_and_ends_is_no_connection(words: tuple[str, str]) -> None:
    log, _ = conversation(PREFIXES["iso"], words)
    assert read(log, guesses=True) == []


@pytest.mark.parametrize("words", [DOMAINS["vehicles"], ("pod {i} latched by {u}", "pod {i} unlatched by {u}")])
@pytest.mark.parametrize("odd", ["4378b", "1200m"])
def test_an_id_may_look_like_a_size_or_a_time(words: tuple[str, str], odd: str) -> None:
    log, expected = returning(words, ["7f2a1", "9c04e", "d1b37", odd, *(f"{n}ea{n}c" for n in range(11, 35))])
    assert [event for event in told(read(log, guesses=True)) if event[0] == "+"] == expected


@pytest.mark.parametrize("thread", ["[loop-{t}] ", "[exec-pool-7-{t}] "])
@pytest.mark.parametrize("words", [("{i} spliced on", "{i} unspliced"), ("dock {i} latched", "dock {i} unlatched")])
def test_a_thread_is_never_a_user(words: tuple[str, str], thread: str) -> None:
    log, _ = returning(words, [f"dev-{n % 9}" for n in range(36)], thread)
    assert {event[1] for event in told(read(log, guesses=True))} <= {"", *(f"dev-{n}" for n in range(9))}


@pytest.mark.parametrize("step", [1, 3])
@pytest.mark.parametrize(
    "words", [("leg {i} ({u}) hooked up", "leg {i} ({u}) hung up"), ("{i} at rig {u} raised", "{i} at rig {u} lowered")]
)
def test_a_number_that_counts_the_connections_is_no_user(words: tuple[str, str], step: int) -> None:
    """The server starts again and counts from the start."""
    lines = [
        (9 * number + 7 * end, sentence.format(i=f"k{number}x", u=4 + step * (number % 21)))
        for number in range(42)
        for end, sentence in enumerate(words)
    ]
    log = "".join(f"2026-04-02T10:{at // 60:02}:{at % 60:02}.000Z {text}\n" for at, text in sorted(lines))
    assert {event[1] for event in told(read(log, guesses=True))} <= {""}


def test_an_address_is_no_user_if_the_ends_name_users() -> None:
    words = ("{i} - link raised", "{i} - agent:{u} - link torn down")
    log, _ = returning(words, [f"10.0.3.{n % 3}:4{n:03}" for n in range(20)])
    assert {event[1] for event in told(read(log, guesses=True))} <= {""}


@pytest.mark.parametrize("path", ["/ws/{u}/{i}/{end}", "/live/{i}/{end}?member={u}"])
def test_a_request_neither_starts_nor_ends_a_connection(path: str) -> None:
    words = tuple(f'10.4.0.7 - - "GET {path} HTTP/1.1" 200 512'.replace("{end}", end) for end in ("open", "shut"))
    log, _ = returning((words[0], words[1]), [f"k{n}x" for n in range(20)])
    assert read(log, guesses=True) == []


@pytest.mark.parametrize("guesses", [False, True])
@pytest.mark.parametrize(
    "words",
    [
        (
            '{i} - - "WSCONNECT /ws/feed/{u}/"',
            '{i} - - "WSREJECT /ws/feed/{u}/"',
            '{i} - - "WSDISCONNECT /ws/feed/{u}/"',
        ),
        ("link {i} accepted, crew {u}", "link {i} denied, crew {u}", "link {i} ceased, crew {u}"),
    ],
)
def test_a_refusal_in_the_form_of_the_opening_is_an_attempt(words: tuple[str, str, str], *, guesses: bool) -> None:
    opened, refused, closed = words
    lines = [
        (9 * n + 7 * end, (opened, closed)[end], f"10.4.{n % 3}.7:40{n:03}", n % 3) for n in range(12) for end in (0, 1)
    ]
    lines += [(2 * n, each, f"10.4.9.7:50{n:03}", 77) for n in range(40) for each in (refused, closed)]
    log = "".join(
        f"2026-04-02T10:{at // 60:02}:{at % 60:02}.000Z {sentence.format(i=i, u=f'40{u:02}')}\n"
        for at, sentence, i, u in sorted(lines, key=lambda line: line[0])
    )
    events = read(log, guesses=guesses)
    assert [event.user for event in events if isinstance(event, Refused)] == 40 * ["4077"]
    assert {event.user for event in events if isinstance(event, Connected)} == {"4000", "4001", "4002"}


@pytest.mark.parametrize(
    ("words", "refused"),
    [
        (("probe has connected, link {i} rig={u}", "probe has disconnected, link {i}"), "denying session rig={u}"),
        (("Session {i} opened for {u}", "Session {i} closed"), "{u} still holds a websocket, new one declined"),
        (("socket {i} connected crew={u}", "socket {i} disconnected"), "handshake from crew={u} refused: one per crew"),
    ],
)
def test_a_refusal_in_other_words_is_an_attempt(words: tuple[str, str], refused: str) -> None:
    events = read(_refused_later(words, refused), guesses=True)
    assert [event.user for event in events if isinstance(event, Refused)] == 30 * ["kx2"]
    assert {event.user for event in events if isinstance(event, Connected)} == {"kx0", "kx1", "kx2", "kx3"}


@pytest.mark.parametrize(
    "refused", ["channel alerts denied to {u}", "upload of {u} rejected", "invite of {u} declined"]
)
def test_a_refusal_of_something_else_is_no_attempt(refused: str) -> None:
    log = _refused_later(("Session {i} opened for {u}", "Session {i} closed"), refused)
    assert not [event for event in read(log, guesses=True) if isinstance(event, Refused)]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("enroll crew={u} link={i}", "unenroll crew={u} link={i}"), "send crew={u} link={i}: i/o timeout"),
        (("{u} took berth {i}", "{u} left berth {i}"), "berth {i} of {u}: heartbeat failed"),
        (("Bound line {i} to {u}", "Unbound line {i} from {u}"), "no keepalive on line {i} of {u}"),
    ],
)
def test_an_error_of_a_connection_is_not_its_end(words: tuple[str, str], error: str) -> None:
    lines = [
        (23 * n + 90 * end, words[end].format(i=f"7f{n:02}a4e{n:02}", u=f"kx{n % 5}"))
        for n in range(20)
        for end in (0, 1)
    ]
    lines += [
        (31 * n + 9 * after, (words[0], error)[after].format(i=f"8c{n:02}b5d{n:02}", u="dock-hall"))
        for n in range(15)
        for after in (0, 1)
    ]
    log = "".join(f"2026-04-02T10:{at // 60:02}:{at % 60:02}.000Z INFO {text}\n" for at, text in sorted(lines))
    ended = {each for sign, _, each in told(read(log, guesses=True)) if sign == "-"}
    assert ended == {f"7f{n:02}a4e{n:02}" for n in range(20)}


@pytest.mark.parametrize(
    ("second", "swept"),
    [
        ("swept berth {i}: {u}", {3, 8, 12, 17}),
        ("swept berth {i}: {u}", {1, 6, 11, 16}),
        ("berth {i} of {u} failed", {3, 8, 12, 17}),
    ],
)
def test_a_second_statement_ends_connections_too(second: str, swept: set[int]) -> None:
    words = ("took berth {i}: {u}", "left berth {i}: {u}", second)
    lines = [
        (23 * n + 90 * end, words[end and 1 + (n in swept)].format(i=f"7f{n:02}a4e{n:02}", u=f"kx{n % 5}"))
        for n in range(20)
        for end in (0, 1)
    ]
    log = "".join(f"2026-04-02T10:{at // 60:02}:{at % 60:02}.000Z INFO {text}\n" for at, text in sorted(lines))
    ended = {each for sign, _, each in told(read(log, guesses=True)) if sign == "-"}
    assert ended == {f"7f{n:02}a4e{n:02}" for n in range(20)}


def _refused_later(words: tuple[str, str], refused: str) -> str:
    """Return a log in which four users come and go, and in which the attempts of one of them are then refused."""
    lines = [
        (11 * n + 40 * end, words[end].format(i=f"7f{n:02}a4e{n:02}", u=f"kx{n % 4}"))
        for n in range(12)
        for end in (0, 1)
    ]
    lines += [(200 + 2 * n, refused.format(u="kx2")) for n in range(30)]
    return "".join(f"2026-04-02T10:{at // 60:02}:{at % 60:02}.000Z INFO {text}\n" for at, text in sorted(lines))


@pytest.mark.parametrize("details", ["(code=1001, message=)", "Cause(order=2, file=)"])
def test_details_in_parentheses_do_not_make_it_another_thing(details: str) -> None:
    words = ("link {i} begun, crew {u}", f"link {{i}} over, crew {{u}}, {details}")
    log, expected = returning(words, [f"k{n}" for n in range(8)])
    assert [event for event in told(read(log, guesses=True)) if event[0] == "+"] == expected


def returning(words: tuple[str, str], ids: Sequence[str], prefix: str = "") -> tuple[str, list[tuple[str, ...]]]:
    """Return a log in which five users come with each of `ids` and go after 7 seconds, and its openings.

    prefix  text with the number of a thread in front of each message
    """
    lines, draw = list[tuple[int, str]](), random.Random(5)
    for number, each in enumerate(ids):
        for at, sentence in zip((9 * number, 9 * number + 7), words, strict=True):
            thread = prefix.format(t=draw.randrange(3))
            lines.append((at, f"{thread}{sentence.format(u=f'crew{number % 5}', i=each)}"))
    log = "".join(f"2026-04-02T10:{at // 60:02}:{at % 60:02}.000Z {text}\n" for at, text in lines)
    return log, [("+", f"crew{number % 5}", each) for number, each in enumerate(ids)]


def test_what_users_usually_have_several_of_is_no_connection() -> None:
    lines = [
        (
            at + 30 * end,
            f"2026-04-02T10:{(at + 30 * end) // 60:02}:{(at + 30 * end) % 60:02}.000Z crawl {at} {word} u-{at % 3}",
        )
        for at in range(0, 200, 8)
        for end, word in enumerate(("launched by", "landed for"))
    ]
    assert read("".join(f"{line}\n" for _, line in sorted(lines)), guesses=True) == []


def test_what_ends_at_once_is_no_connection() -> None:
    lines = [
        f"2026-04-02T10:11:{2 * n:02}.{at}Z lease 7f{n}a of dev-{n % 3} {word}"
        for n in range(12)
        for at, word in (("100", "checked"), ("190", "settled"))
    ]
    assert read("\n".join(lines) + "\n", guesses=True) == []


@pytest.mark.parametrize(
    "sentence", ["link {old} outdated, {new} is used", "dropping {old} ({u})", "{u} moved on from {old} to {new}"]
)
def test_a_line_that_always_follows_a_newer_connection_is_a_replacement(sentence: str) -> None:
    lines, last, number = list[str](), dict[str, str](), 0
    for second in range(1, 50, 4):
        user = f"dev-{second % 3}"
        number += 1
        newer, older = f"k{number:03}", last.get(user)
        lines.append(f"2026-04-02T10:11:{second:02}.100Z {user} spliced on {newer}")
        if older is not None:
            told_so = sentence.format(old=older, new=newer, u=user)
            lines.append(f"2026-04-02T10:11:{second:02}.180Z {told_so}")
        last[user] = newer
    lines += [f"2026-04-02T10:12:0{n}.000Z {user} unspliced {each}" for n, (user, each) in enumerate(last.items())]
    events = told(read("\n".join(lines) + "\n", guesses=True))
    assert [event[0] for event in events].count("!") == number - len(last)
    replaced = {event[2] for event in events if event[0] == "!"}
    assert replaced == {f"k{n:03}" for n in range(1, number + 1)} - set(last.values())


def test_a_log_that_is_written_now_is_learned_from_its_first_lines() -> None:
    log, expected = conversation(PREFIXES["iso"], DOMAINS["games"])
    pieces = [len(line) + 1 for line in log.splitlines()]
    read_now = told(read(log, *pieces, guesses=True))
    assert sorted(read_now) == sorted((sign, user if sign == "+" else "", each) for sign, user, each in expected)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_request_that_ends_beside_the_line_of_the_application_is_no_second_end(order: tuple[int, int]) -> None:
    """A web framework logs the request of a WebSocket when it has ended."""
    lines, expected = list[str](), list[tuple[str, ...]]()
    for number, user in enumerate(("mia", "noor", "mia", "ida", "noor", "mia", "ida", "noor")):
        request = f'INFO:web.access:127.0.0.1 [30/Nov/2026:16:18:{number:02} +0000] "GET /ws?uid={user} HTTP/1.1" 101 0'
        ends = (f"INFO:ws:user {user} left", request)
        lines += [f"INFO:ws:user {user} joined", *(ends[each] for each in order)]
        expected += [("+", user, ""), ("-", user, "")]
    assert told(read("\n".join(lines) + "\n")) == expected


@pytest.mark.parametrize(
    ("words", "user"),
    [
        (("[{mail}] Enrolled stream ({key})", "[{mail}] Ended stream"), "mail"),
        (("{mail} ({key}) took a line", "{mail} gave back a line"), "mail"),
        (("peer {key} is {mail} now from 10.4.0.7", "peer {key} dropped off"), "key"),
    ],
)
def test_a_user_who_is_named_twice_is_no_connection(words: tuple[str, str], user: str) -> None:
    names = [{"mail": f"{name}@yard.example", "key": f"Yz{name}Lw"} for name in ("kea", "lio", "max", "ned")]
    lines = [(40 * n + 100 * end, words[end].format(**names[n % 4])) for n in range(16) for end in (0, 1)]
    lines += [(3, words[0].format(**names[3])), (5, words[0].format(**names[3]))]
    log = "".join(
        f"2026-04-02T10:{at // 60:02}:{at % 60:02}.000Z INFO -- : [App] {text}\n" for at, text in sorted(lines)
    )
    events = told(read(log, guesses=True))
    assert {event for event in events if event[0] == "+"} == {("+", name[user], "") for name in names}
    assert sum(event[0] == "+" for event in events) == 18


NAMED = {
    "a device in quotes": ('Wallbox "{u}": socket opened', 'Wallbox "{u}": socket closed'),
    "a lock": ("Schleuse {u} - connection established", "Schleuse {u} - connection lost (timeout)"),
}
TAGGED = ("[{u}] Registered connection ({u}x)", '[{u}] Finished "/cable/" [WebSocket] for 10.0.0.{n} at 10:00:00')


def visits(words: Sequence[str], users: Sequence[str], *, lasting: int) -> str:
    """Return a log in which each user connects every 40 s, and stays for `lasting` seconds."""
    lines = [
        (40 * turn + 3 * number + at, text.format(u=user, n=number))
        for number, user in enumerate(users)
        for turn in range(3)
        for text, at in zip(words, (0, lasting), strict=True)
    ]
    return "".join(f"2026-04-02T10:{at // 60:02}:{at % 60:02}Z [INFO] {text}\n" for at, text in sorted(lines))


@pytest.mark.parametrize("words", NAMED)
def test_names_that_never_connect_twice_are_users_without_a_guess(words: str) -> None:
    users = ("nord-1", "nord-2", "T4")
    events = told(read(visits(NAMED[words], users, lasting=20)))
    assert [kind for kind, *_ in events].count("+") == [kind for kind, *_ in events].count("-") == 9
    assert {user for _, user, _ in events} == {*users}


@pytest.mark.parametrize(
    "users", [("room-1", "room-2", "room-3"), ("10.0.0.1", "10.0.0.2", "10.0.0.3"), ("7", "3", "5")]
)
def test_places_addresses_and_numbers_may_have_several_users(users: tuple[str, ...]) -> None:
    lasting = 45 if users[0] == "room-1" else 20
    log = visits(NAMED["a device in quotes"], users, lasting=lasting)
    assert told(read(log)) == []
    assert told(read(log, guesses=True)) or lasting == 45


def test_an_address_of_mail_is_a_user_although_it_has_several_connections() -> None:
    users = ("ann@site.example", "ben@site.example", "eve@site.example")
    lines = visits(TAGGED, users, lasting=30).splitlines(keepends=True)
    log = "".join([lines[0], lines[0], *lines[1:]])
    assert {user for _, user, _ in told(read(log))} == {*users}


HEARTBEATS = {
    "JSON": ('{{"evt":"conn.open","uid":"{u}","cid":"{i}"}}', '{{"evt":"conn.pong","cid":"{i}","rttMs":12}}'),
    "text": ("INFO client attached member={u} conn={i}", "DEBUG heartbeat ok conn={i}"),
    "a sentence": ("INFO user {u} connected with connection {i}", "DEBUG 3 frames sent to connection {i}"),
}


@pytest.mark.parametrize(("until", "every"), [(900, 100), (75, 30)])
@pytest.mark.parametrize("form", HEARTBEATS)
def test_connections_that_stay_in_use_need_no_ends(form: str, until: int, every: int) -> None:
    """Each user connects again after two minutes, and uses the earlier connection every `every` s until `until`."""
    begin, sign = HEARTBEATS[form]
    lines = list[tuple[int, str]]()
    for number, user in enumerate(("m-3916", "m-34", "m-3280", "m-38")):
        first, second = f"3af0{number}57a", f"9c1d{number}e2b"
        lines += [(9 * number, begin.format(u=user, i=first)), (120 + 9 * number, begin.format(u=user, i=second))]
        lines += [(9 * number + at, sign.format(i=first)) for at in range(every, until, every)]
        lines += [(120 + 9 * number + at, sign.format(i=second)) for at in range(every, 900, every)]
    log = "".join(f"2026-04-02T10:{at // 60:02}:{at % 60:02}.250Z {text}\n" for at, text in sorted(lines))
    events = told(read(log))
    assert len(events) == (8 if until == 900 else 0)
    assert all(user and each for _, user, each in events)


def test_many_statements_that_are_logged_once_are_compared_with_few_others() -> None:
    letters, calls = "abcdefghij", dict[int, int]()
    for many in (250, 1000):
        words = ("".join(letters[int(digit)] for digit in f"{number:04}") for number in range(many))
        lines = (
            f"2026-01-15T09:30:{number % 60:02}Z Socket opened word{word} uid={number} sid=S{number:019}\n"
            for number, word in enumerate(words)
        )
        scout = WordingScout(LogVocabulary(), guesses=None)
        text = bytearray("".join(lines).encode())
        with counted_calls() as count:
            scout.search(text, 0, len(text), 1)
        calls[many] = count.calls
    assert calls[1000] < 6 * calls[250]
