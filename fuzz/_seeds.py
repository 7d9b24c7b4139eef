"""Fragments of valid input, so that mutations of a few bytes produce meaningful data."""

import json
from collections.abc import Sequence
from typing import Any


def decode(data: bytes, fragments: Sequence[bytes]) -> bytes:
    """Return `data` in which each of the highest byte values stands for a fragment."""
    first = 256 - len(fragments)
    return b"".join(fragments[byte - first] if byte >= first else bytes([byte]) for byte in data)


def as_fragments(*texts: str) -> tuple[bytes, ...]:
    """Return the texts in UTF-8."""
    return tuple(text.encode() for text in texts)


def edit(data: bytes, document: bytes, fragments: Sequence[bytes]) -> bytes:
    """Return `document` with one edit for each four bytes of `data`: place (2 bytes), bytes to remove, fragment.

    Most results are almost valid, so that more is reached than the parser. Without data for an edit, or with a first
    byte above 200, `data` itself is decoded.
    """
    if len(data) < 4 or data[0] > 200:
        return decode(data[1:], fragments)
    text = bytearray(document)
    for start in range(0, len(data) - 3, 4):
        place = int.from_bytes(data[start : start + 2], "big") % (len(text) + 1)
        text[place : place + data[start + 2] % 16] = (b"", *fragments)[data[start + 3] % (len(fragments) + 1)]
    return bytes(text)


PACKETS = as_fragments(
    *(
        "0",
        "1",
        "2",
        "3",
        "4",
        "40",
        "41",
        "42",
        "43",
        "44",
        "45",
        "46",
        "2probe",
        "3probe",
        "5",
        "6",
        "b",
        "\x1e",
        "/chat,",
    ),
    *(
        '{"sid":"JklrX0lA-3eoASGLAAAA","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000}',
        '["message",',
        "]",
    ),
    *(
        '{"_placeholder":true,"num":0}',
        '{"token":"',
        '"}',
        "1-",
        "51-",
        "52-/a,3",
        "6:4",
        "data: ",
        "event: ",
        "\n\n",
        "\r\n",
    ),
    *('{"type":"', '"subscribe"', "\x00", "\x01", "[[", "]]", "1e999", "99999999999999999999", "\ud7ff", '"\\ud800"'),
)

PROTOCOL_FRAMES = (
    *as_fragments(
        *("\n\n\n", "\x01", "\x02", "\x03", '{"command":"subscribe","identifier":"', '{"type":"confirm_subscription",'),
        *('"identifier":"', '"message":{}}', '{"type":"welcome"}', '"}', '["1","1","room","phx_join",{}]'),
        *('["1","2","room","phx_leave",{}]', '["1","1","room","phx_reply",{"status":"error"}]', '["1",null,"room",'),
        *('"broadcast",{"event":"x","payload":', "}]", '{"protocol":"json","version":1}\x1e', "{}\x1e", "\x1e"),
        *('{"protocol":"messagepack","version":1}\x1e', '{"type":1,"target":"x","arguments":[', "]}", '{"type":4,'),
        *('"invocationId":"1","target":"y"}', '{"type":3,"invocationId":"1"}', "CONNECT\naccept-version:1.2\n\n\0"),
        *("SUBSCRIBE\nid:1\ndestination:/a\n\n\0", "MESSAGE\nsubscription:1\n", "content-length:5\n\n", "ERROR\n"),
        *("UNSUBSCRIBE\nid:1\n\n\0", "\r\n", "\0"),
        *("connection_init", "subscribe", '"type":"', '"id":"1"', '"payload":', '{"query":"subscription { a }"}'),
        *('{"type":"next","id":"1","payload":{"data":1}}', '{"type":"complete","id":"1"}', '"operationName":"S"'),
        *(
            *('{"query":"subscription { a }"}',),
            '{"event":"pusher:subscribe","data":',
            '{"channel":"a","channel_data":"{}"}',
            '"channel":"a"',
            "pusher:signin",
        ),
        *("o\n\n\n", "h", 'a["', 'm"', 'c[3000,"Go away!"]', '\\"', "\\ud800"),
    ),
    *(b"\x10\x10\x00\x04MQTT\x04\x02\x00<\x00\x04desk", b"\x20\x02\x00\x00", b"\x82\x06\x00\x01\x00\x01a\x01"),
    *(b"\x90\x03\x00\x01\x80", b"\xa2\x05\x00\x02\x00\x01a", b"\x30\x04\x00\x01a1", b"\xc0\x00", b"\xe0\x01\x8e"),
    *(b"\x0d\x95\x01\x80\xc0\xa1x\x91\x01\x90", b"\x04\x0b\x1f\x01\x01room", b"\xff\xff\xff\xff\x7f", b"\x00"),
)
"""Frames, and parts of frames, of the protocols on WebSocket."""

_entry: dict[str, Any] = {
    "startedDateTime": "2026-01-15T09:30:00.000Z",
    "time": 1.5,
    "_resourceType": "websocket",
    "_webSocketMessages": [{"type": "receive", "time": 1768469400.5, "opcode": 1, "data": '40{"sid":"a"}'}],
    "_initiator": {"stack": {"callFrames": [{"url": "http://a/b.js", "lineNumber": 1, "columnNumber": 2}]}},
    "request": {"method": "GET", "url": "ws://a/socket.io/?EIO=4&transport=websocket", "headers": [], "cookies": []},
    "response": {"status": 101, "headers": [], "content": {"text": "MA==", "encoding": "base64", "size": 1}},
}
HAR = (
    json.dumps({"log": {"creator": {"name": "WebInspector"}, "pages": [], "entries": [_entry]}}).encode(),
    json.dumps(_entry).encode(),
    *as_fragments(
        *(
            '{"log":{"creator":{"name":"x"},"entries":[',
            "]}}",
            '"request":{',
            '"response":{',
            '"url":"',
            '"headers":[',
            "},",
        ),
        *(
            '{"name":"Cookie","value":"',
            '"status":',
            "null",
            "-1",
            '"time":',
            '"startedDateTime":"',
            '"encoding":"base64"',
            "[]",
        ),
        *(
            '"_webSocketMessages":[',
            '{"type":"send","time":1,"data":"',
            '"postData":{"text":"',
            "{}",
            '"',
            ",",
            ":",
            "1e999",
        ),
        *("transport=polling&sid=a", "transport=websocket", "http://[", "%00", "\ufeff", "NaN"),
    ),
)

SOURCE_MAPS = as_fragments(
    *(
        '{"version":3,"sources":["a.tsx"],"names":["io"],"mappings":"AAAA,SAASA,KAAK","sourcesContent":["x"]}',
        '"mappings":"',
    ),
    *(
        '{"version":3,"sections":[{"offset":{"line":0,"column":0},"map":',
        "}]}",
        '"sources":[',
        '"names":[',
        '"sourceRoot":"',
        "]",
    ),
    *(
        "AAAA",
        ",",
        ";",
        "gggggggggggggggB",
        "//////////",
        "null",
        "-1",
        "{}",
        '"',
        "[",
        ")]}'\n",
        "webpack://",
        "../../",
        "%zz",
    ),
)

SOURCE_MAP = SOURCE_MAPS[0]
HAR_DOCUMENT = HAR[0]
RECORDING = b"".join(
    json.dumps(each).encode() + b"\n"
    for each in (
        {"schema": "wscheck.events/1", "wscheck": "1.0.0", "target": "x", "started_at": 1.0, "options": {}},
        {"type": "connected", "sid": "a", "user": "u", "at": 1.0, "source": "server-log"},
        {"type": "connected", "sid": "b", "user": "u", "at": 2.0, "source": "server-log"},
        {"type": "replaced", "user": "u", "old_sid": "a", "new_sid": "b", "at": 2.0, "source": "server-log"},
        {"type": "disconnected", "sid": "b", "reason": "transport close", "at": 3.0, "source": "server-log"},
    )
)

RECORDINGS = as_fragments(
    *(
        '{"schema":"wscheck.events/1","wscheck":"1.0.0","target":"x","started_at":1.0,"options":{}}\n',
        "\n",
        '{"type":"',
    ),
    *(
        'connected","sid":"a","user":"u","at":1.0}',
        'replaced","user":"u","old_sid":"a","new_sid":"b"}',
        'disconnected"',
    ),
    *(
        '"at":',
        '"user":',
        '"sid":',
        '"opener":[',
        '"reason":',
        "null",
        "1e999",
        "-1",
        "{}",
        "[]",
        '"',
        ",",
        ":",
        "finding",
    ),
)

CHECKPOINTS = as_fragments(
    *(
        '{"schema":"wscheck.checkpoint/1","logs":{"app.log":',
        '{"positions":[{"head":"YQ==","tail":"YQ==","offset":1,"lines":0}]',
    ),
    *(
        ',"seen":[[1,1,"YQ==","YQ==",0]]',
        ',"known":[[[1,2],1,"YQ==","YQ==",0]]',
        ',"moved_to":[["/tmp","("]]',
        ',"file":[1,2]',
    ),
    *(
        ',"since_ns":0',
        "}}",
        ',"held":[',
        ',"incidents":[',
        ',"told":{"device":1,"inode":1,"size":-1}',
        "-1",
        "null",
        "[]",
        "}",
    ),
    *('"offset":9223372036854775807', '"offset":-5', '"lines":-1', '"positions":[]', ",", ":", '"', "{", "1e999"),
)
CHECKPOINT = b"".join(
    (
        *CHECKPOINTS[:2],
        b',"seen":[[1,1,"YQ==","YQ==",0]],"since_ns":0,"file":[1,2],"known":[[[1,2],1,"YQ==","YQ==",0]]}}}',
    )
)
