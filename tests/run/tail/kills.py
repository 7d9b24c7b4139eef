"""A server that logs and rotates all the time, and a `tail-logs` process that is killed repeatedly."""

import random
import signal
import threading
import time
from pathlib import Path

from tests.run.tail.process import LoggingServer, TailProcess, lines, wait_until

LATEST = 1 << 16


class KillCycle:
    """A cycle of starts and kills: `once` starts the command and kills it, `end` lets it finish.

    kills_while_busy  kills at a moment when something was not recorded yet
    """

    def __init__(self, directory: Path, chance: random.Random) -> None:
        self.server, self.kills_while_busy, self._chance = LoggingServer(directory / "app.log"), 0, chance
        self._directory, self._recording = directory, directory / "recording.ndjson"
        self._done = threading.Event()
        self._writer = threading.Thread(target=self._write, daemon=True)
        self.server.connect()

    def _write(self) -> None:
        chance = random.Random(1)
        while not self._done.is_set():
            for _ in range(chance.choice((1, 5, 30))):
                self.server.disconnect(self.server.connect())
            if chance.random() < 0.03:
                self.server.rotate()
                if chance.random() < 0.5:
                    self.server.connects(3)
                self.server.reopen()
            time.sleep(chance.choice((0.001, 0.01, 0.05)))

    def _tail(self) -> TailProcess:
        options = ("app.log", "--from-start", "--checkpoint", "checkpoint", "--format", "ndjson=recording.ndjson")
        return TailProcess(*options, directory=self._directory, ready=False)

    def once(self) -> None:
        """Start the command and kill it with -9 at a random moment, mostly after it started to read."""
        with self._tail() as tail:
            size = self._size()
            if not self._writer.is_alive():
                # Files rotated before the first start are not read.
                wait_until((self._directory / "checkpoint").exists)
                self._writer.start()
            if self._chance.random() < 0.9:
                wait_until(lambda: self._size() > size)
            time.sleep(self._chance.uniform(0.0, 0.15))
            tail.send(signal.SIGKILL)
            tail.wait()
        self.kills_while_busy += not self._has_recorded(self.server.sids[-1])

    def end(self) -> list[str]:
        """Stop the server, wait until everything was read, and return the recorded sids in order."""
        self._done.set()
        self._writer.join()
        with self._tail() as tail:
            wait_until(lambda: self._has_recorded(self.server.sids[-1]))
            tail.end()
            # No complaints. A process that had recorded everything may end before it prints anything.
            assert tail.err in ("", "wrote recording.ndjson\n")
        return self.sids()

    def sids(self) -> list[str]:
        """Return the sids in the recording."""
        raw = self._recording.read_bytes() if self._recording.exists() else b""
        return [line["sid"] for line in lines(raw) if line.get("type") == "connected"]

    def _has_recorded(self, sid: str) -> bool:
        """Return whether the connection is among the latest in the recording."""
        if not self._recording.exists():
            return False
        with self._recording.open("rb") as output:
            output.seek(max(0, self._size() - LATEST))
            return f'"sid":"{sid}"'.encode() in output.read()

    def _size(self) -> int:
        return self._recording.stat().st_size if self._recording.exists() else 0
