"""Stamps: which parts of a payload identify the event, and which differ between two copies."""

import pytest

from wscheck.observe.traffic.redaction import MAX_STAMPS, split_stamps

NOW = 1_795_000_000.0


@pytest.mark.parametrize(
    ("payload", "stamps"),
    [
        ({"status": "open", "no": 7}, ["no"]),
        ({"status": "open", "seqNo": 7, "sentAt": 1_795_000_000_123}, ["seqNo", "sentAt"]),
        (
            {"meta": {"event_id": "9f", "emitted": "2026-11-18T10:00:00.1Z"}, "user": "A"},
            ["meta.event_id", "meta.emitted"],
        ),
        ({"number": "4711-3", "row": {"id": 5}}, ["number", "row.id"]),
        ([{"seq": 1}, "x"], ["0.seq"]),
        ({"place": 2, "userId": "A", "ticketId": "T-1", "open": 3, "count": 4, "phoneNumber": "+49"}, []),
        ({"at": "home", "date": "Monday", "ok": True, "id": ""}, ["at", "date"]),
        ("text", []),
        (None, []),
    ],
)
def test_times_sequence_numbers_and_event_ids_are_stamps(payload: object, stamps: list[str]) -> None:
    core, found = split_stamps(payload, NOW)
    assert list(found) == stamps
    assert split_stamps(core, NOW) == (core, {})


def test_a_list_of_records_has_no_stamps() -> None:
    rows = [{"id": n} for n in range(MAX_STAMPS + 1)]
    assert split_stamps(rows, NOW) == (rows, {})


def test_a_number_is_a_time_only_near_the_time_of_the_event() -> None:
    assert split_stamps({"open": NOW + 5}, NOW)[1] == {"open": NOW + 5}
    assert split_stamps({"open": 1_000_000_000}, NOW)[1] == {}
    assert split_stamps({"open": NOW}, None)[1] == {}
