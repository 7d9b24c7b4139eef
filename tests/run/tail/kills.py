"""A server that never stops logging and rotating, and a `tail-logs` that is killed again and again."""

import random
import signal
import threading
import time
from pathlib import Path

from tests.run.tail.running import Server, Tail, lines, until

LATEST = 1 << 16


class Killing:
    """`once` starts the command and kills it with -9 at a random moment; `end` lets it finish.

    killed_while_busy  how many kills came when there was something it had not told yet
    """

    def __init__(self, directory: Path, chance: random.Random) -> None:
        self.server, self.killed_while_busy, self._chance = Server(directory / "app.log"), 0, chance
        self._directory, self._told = directory, directory / "told.ndjson"
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

    def _tail(self) -> Tail:
        options = ("app.log", "--from-start", "--checkpoint", "checkpoint", "--format", "ndjson=told.ndjson")
        return Tail(*options, directory=self._directory, ready=False)

    def once(self) -> None:
        """One start and one kill, mostly after it began to read."""
        with self._tail() as tail:
            size = self._size()
            if not self._writer.is_alive():
                # What was rotated away before the first start is nobody's to find.
                until((self._directory / "checkpoint").exists)
                self._writer.start()
            if self._chance.random() < 0.9:
                until(lambda: self._size() > size)
            time.sleep(self._chance.uniform(0.0, 0.15))
            tail.send(signal.SIGKILL)
            tail.wait()
        self.killed_while_busy += not self._has_told(self.server.sids[-1])

    def end(self) -> list[str]:
        """Every sid that was told of, in that order, once the server stopped and all was read."""
        self._done.set()
        self._writer.join()
        with self._tail() as tail:
            until(lambda: self._has_told(self.server.sids[-1]))
            tail.end()
            # Nothing to complain of; one that had all told already may end before it has anything to say.
            assert tail.err in ("", "wrote told.ndjson\n")
        return self.sids()

    def sids(self) -> list[str]:
        """Those in the recording now."""
        raw = self._told.read_bytes() if self._told.exists() else b""
        return [line["sid"] for line in lines(raw) if line.get("type") == "connected"]

    def _has_told(self, sid: str) -> bool:
        """Whether the connection is among the latest in the recording."""
        if not self._told.exists():
            return False
        with self._told.open("rb") as told:
            told.seek(max(0, self._size() - LATEST))
            return f'"sid":"{sid}"'.encode() in told.read()

    def _size(self) -> int:
        return self._told.stat().st_size if self._told.exists() else 0
