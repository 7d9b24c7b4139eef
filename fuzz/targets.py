"""Coverage-guided fuzzing of the readers of foreign data: no input causes anything but the documented error.

pip install -e '.[fuzz]'
python fuzz/targets.py TARGET -max_total_time=180 [CORPUS_DIRECTORY]

The log reader has a program of its own, which also compares several ways of reading: fuzz/extractor.py.
"""

import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parent))
with atheris.instrument_imports(include=["wscheck"]):
    from wscheck.detect.engine import Judge, RuleOptions
    from wscheck.model.errors import BadEvidence
    from wscheck.observe.browser.source_map import InvalidSourceMap, SourceMap
    from wscheck.observe.har.events import read_har_files
    from wscheck.observe.recording import read_recording
    from wscheck.observe.tailing.checkpoint import load_checkpoint
    from wscheck.observe.tailing.follower import LogFollower
    from wscheck.protocols.engine_io import (
        PacketError,
        decode_engine_packet,
        decode_engine_packet_v3,
        decode_handshake,
        decode_payload,
        decode_payload_v3,
    )
    from wscheck.protocols.protocol import Direction, Opening, Transport
    from wscheck.protocols.reader import ConnectionReader
    from wscheck.protocols.registry import recognise
    from wscheck.protocols.socket_io import decode_msgpack_packet, decode_socket_packet

from _seeds import (
    CHECKPOINT,
    CHECKPOINTS,
    HAR,
    HAR_DOCUMENT,
    PACKETS,
    PROTOCOL_FRAMES,
    RECORDING,
    RECORDINGS,
    SOURCE_MAP,
    SOURCE_MAPS,
    decode,
    edit,
)

FOLDER = Path(tempfile.mkdtemp(prefix="wscheck-fuzz-"))
URLS = (
    "ws://a.example/socket.io/?EIO=4&transport=websocket",
    "ws://a.example/socket.io/?EIO=3&transport=websocket",
    "http://a.example/socket.io/?EIO=4&transport=polling",
    "ws://a.example/live",
    "http://a.example/events",
    "ws://a.example/@vite",
)
PROTOCOL_OPENINGS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("ws://a.example/cable", ("actioncable-v1-json",)),
    ("ws://a.example/mqtt", ("mqtt",)),
    ("ws://a.example/socket/websocket?vsn=2.0.0", ()),
    ("ws://a.example/hub?id=l8Lw2c0Cf5nQJ6k4Zq9_-A", ()),
    ("ws://a.example/stomp", ("v12.stomp",)),
    ("ws://a.example/graphql", ("graphql-transport-ws",)),
    ("ws://a.example/app/key?protocol=7", ()),
    ("ws://a.example/sock/000/abcdefgh/websocket", ()),
    ("ws://a.example/live", ()),
)
"""URL and subprotocols of a connection of each protocol, and of one whose frames show its protocol."""


def check_packets(data: bytes) -> None:
    """Decode `data` as a packet of each kind, then as the traffic of a connection."""
    whole = decode(data[1:], PACKETS)
    text = whole.decode("utf-8", "replace")
    for decoder in (decode_engine_packet, decode_engine_packet_v3, decode_payload_v3, decode_handshake):
        for each in (text, whole):
            with suppress(PacketError):
                decoder(each)
    with suppress(PacketError):
        decode_payload(text)
    with suppress(PacketError):
        decode_socket_packet(text)
    with suppress(PacketError):
        decode_msgpack_packet(whole)
    _read_connection(data[:1], whole)


def _read_connection(choice: bytes, whole: bytes) -> None:
    """Read pieces of `whole` as frames or bodies in both directions."""
    number = choice[0] if choice else 0
    url = URLS[number % len(URLS)]
    is_stream = url.endswith("/events")
    transport = (
        Transport.WEBSOCKET if url.startswith("ws") else Transport.EVENT_STREAM if is_stream else Transport.POLLING
    )
    opening = Opening(url=url, transport=transport)
    recognition = recognise(opening)
    if recognition is None:
        return
    reader = ConnectionReader(opening, recognition, 0.0)
    reader.start()
    reader.accept(0.1)
    for at, piece in enumerate(whole.split(b"\n")):
        direction = Direction.SENT if at % 2 else Direction.RECEIVED
        reader.receive(direction, piece if number & 64 else piece.decode("utf-8", "replace"), float(at))
    reader.close(1006 if number & 128 else None, "", 99.0)


def check_protocols(data: bytes) -> None:
    """Read pieces of `data` as frames of a protocol, which its subprotocol or URL names, and as frames that name it."""
    if len(data) < 2:
        return
    url, subprotocols = PROTOCOL_OPENINGS[data[0] % len(PROTOCOL_OPENINGS)]
    opening = Opening(url=url, transport=Transport.WEBSOCKET, subprotocols=subprotocols)
    recognition = recognise(opening)
    assert recognition is not None
    reader = ConnectionReader(opening, recognition, 0.0)
    reader.start()
    reader.accept(0.1)
    at = 0.0
    for piece in decode(data[2:], PROTOCOL_FRAMES).split(b"\n\n\n"):
        choice = piece[:1] or b"\0"
        direction = Direction.SENT if choice[0] & 1 else Direction.RECEIVED
        at += choice[0] / 100
        reader.receive(direction, piece[1:] if choice[0] & 2 else piece[1:].decode("utf-8", "replace"), at)
    reader.close(1006 if data[1] & 1 else None, "", at + 1)


def check_har(data: bytes) -> None:
    """Read `data` as a HAR file and evaluate its events."""
    path = FOLDER / "page.har"
    path.write_bytes(edit(data, HAR_DOCUMENT, HAR))
    with suppress(BadEvidence):
        judge = Judge(RuleOptions())
        for event in read_har_files([path]).events:
            judge.feed(event)


def check_source_map(data: bytes) -> None:
    """Read `data` as a source map and look up positions."""
    with suppress(InvalidSourceMap):
        source_map = SourceMap(edit(data, SOURCE_MAP, SOURCE_MAPS), "http://a.example/app.js")
        for line in range(3):
            for column in (0, 5, 1 << 20):
                found = source_map.find(line, column)
                if found is not None:
                    source_map.content(found[0].file)


def check_recording(data: bytes) -> None:
    """Read `data` as a recording and evaluate its events."""
    with suppress(BadEvidence):
        header, events = read_recording(edit(data, RECORDING, RECORDINGS).splitlines(True))
        assert header is not None
        judge = Judge(RuleOptions())
        for event in events:
            judge.feed(event)


def check_checkpoint(data: bytes) -> None:
    """Read `data` as a checkpoint and continue from it."""
    path, log = FOLDER / "checkpoint", FOLDER / "app.log"
    path.write_bytes(edit(data, CHECKPOINT, CHECKPOINTS))
    log.write_bytes(b"a line\nanother line\n")
    with suppress(BadEvidence):
        checkpoint = load_checkpoint(path)
        assert checkpoint is not None
        for resume_point in checkpoint.logs.values():
            follower = LogFollower(log, memoryview(bytearray(4096)), lambda _: None)
            follower.resume(resume_point)
            for _ in range(2):
                for stream, piece in follower.read(0.0):
                    stream.consumed += len(piece)
            follower.resume_point()
            follower.close()


TARGETS: dict[str, Callable[[bytes], None]] = {
    "packets": check_packets,
    "protocols": check_protocols,
    "har": check_har,
    "source-maps": check_source_map,
    "recordings": check_recording,
    "checkpoints": check_checkpoint,
}


def main() -> None:
    """Fuzz the target that the first argument names until interrupted; libFuzzer's options apply."""
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        raise SystemExit(f"usage: python fuzz/targets.py {'|'.join(TARGETS)} [OPTION]...")
    check = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
