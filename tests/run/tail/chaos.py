"""A server with 300 users that logs without pause, while everything around `wscheck tail-logs` goes wrong."""

import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.run.tail.process import LoggingServer, TailProcess, lines, record, wait_until
from tests.run.tail.rotations import pack

USERS = 300
CLOCK_STEPS_S = (0.0, -7200.0, -30.0, 45.0, 7200.0)
DISK_MB, FILLER_BYTES = 48, 1 << 16
LATEST_BYTES = 1 << 16
KEPT_FILES = 40
"""Rotated files that stay on the disk when others are deleted, after they were read."""
CATCH_UP_S = 120.0


class ChaosServer(LoggingServer):
    """A server whose clock, disk and log file misbehave.

    clock_offset  seconds by which its clock is wrong
    cut_lines     records of which a full disk took only the start, or nothing
    """

    def __init__(self, path: Path, chance: random.Random) -> None:
        super().__init__(path)
        self.clock_offset, self.cut_lines = 0.0, 0
        self._chance, self._sids, self._rotations, self._broken = chance, 0, 0, False

    def _next_record(self) -> tuple[str, bytes]:
        self._sids += 1
        sid, user = f"c{self._sids}", f"user {self._chance.randrange(USERS)}"
        at = time.time() + self.clock_offset
        return sid, record("WebSocket client connected", at, socketId=sid, userId=user) + b"\n"

    def act(self, most: int = 30) -> None:
        """Let some users connect."""
        for _ in range(self._chance.randint(1, most)):
            sid, data = self._next_record()
            # A line that the disk cut off ends first, so that it spoils no other.
            data = b"\n" + data if self._broken else data
            try:
                taken = os.write(self._fd, data)
            except OSError:
                taken = 0
            self._broken = (self._broken and not taken) or 0 < taken < len(data)
            if taken == len(data):
                self.sids.append(sid)
            else:
                self.cut_lines += 1

    # --- the log --------------------------------------------------------------------------------------------------

    @property
    def faults(self) -> list[Callable[[], None]]:
        """What can go wrong with the log and the clock while the disk has room."""
        rotations = [
            self.rename,
            self.rename_twice,
            self.late,
            self.copytruncate,
            self.rewrite,
            self.olddir,
            self.dated,
        ]
        return [*rotations, self.packed, self.packed_later, self.split, self.recreated_empty, self.change_clock]

    def rename(self) -> None:
        self.rotate()
        self.reopen()

    def rename_twice(self) -> None:
        for _ in range(2):
            self.rename()
            self.act()

    def late(self) -> None:
        self.rotate()
        self.path.touch()
        self.act()
        self.reopen()

    def olddir(self) -> None:
        old = self.path.with_name("old")
        old.mkdir(exist_ok=True)
        self._rotations += 1
        self.path.rename(old / f"{self.path.name}-{self._rotations:06}")
        self.reopen()

    def dated(self) -> None:
        self._rotations += 1
        self.path.rename(self.path.with_name(f"{self.path.stem}-2026-01-15T{self._rotations:06}{self.path.suffix}"))
        self.reopen()

    def packed(self) -> None:
        self.rename()
        pack(Path(f"{self.path}.1"), self._chance.choice((".gz", ".bz2", ".xz")))

    def packed_later(self) -> None:
        """Pack one of the files that were rotated before."""
        plain = [path for path in self.path.parent.glob(f"{self.path.name}.[0-9]*") if path.suffix[1:].isdigit()]
        if plain:
            pack(self._chance.choice(sorted(plain)), ".gz")

    def recreated_empty(self) -> None:
        self.rename()
        self.rename()

    def split(self) -> None:
        """Log one record half into one file and half into the next."""
        self.act()
        sid, data = self._next_record()
        cut = self._chance.randrange(12, len(data) - 12)
        self.raw(data[:cut])
        self.rename()
        self.raw(data[cut:])
        self.sids.append(sid)

    def change_clock(self) -> None:
        self.clock_offset = self._chance.choice(CLOCK_STEPS_S)

    def rotated_files(self) -> list[Path]:
        """Return the rotated files, the oldest first."""
        found = [path for path in self.path.parent.rglob("app*") if path.is_file() and path != self.path]
        return sorted(found, key=lambda path: path.stat().st_mtime_ns)

    # --- the disk -------------------------------------------------------------------------------------------------

    def fill_disk(self) -> None:
        """Fill the disk of the log, log on, and free it."""
        filler = self.path.with_name("filler.bin")
        for size in (FILLER_BYTES, 1):
            with suppress(OSError), filler.open("ab", buffering=0) as file:
                while file.write(bytes(size)):
                    pass
        for _ in range(3):
            self.act()
        filler.unlink()
        self.act()


class Chaos:
    """The server, `tail-logs --checkpoint` with a webhook, and their faults.

    faults  how often each fault happened
    """

    def __init__(self, logs: Path, directory: Path, webhook: str, seed: int, *, limited_disk: bool) -> None:
        self._chance = random.Random(seed)
        self.server = ChaosServer(logs / "app.log", self._chance)
        self.faults = Counter[str]()
        self._directory, self._webhook, self._limited_disk = directory, webhook, limited_disk
        self._recording = directory / "recording.ndjson"
        self.server.act()
        self.tail = self._start()

    def _start(self) -> TailProcess:
        log = str(self.server.path)
        options = [
            "--from-start",
            "--checkpoint",
            "checkpoint",
            "--format",
            "ndjson=recording.ndjson",
            "--reorder",
            "0s",
        ]
        return TailProcess(log, *options, "--webhook", self._webhook, directory=self._directory)

    def run(self, seconds: float) -> None:
        """Log and fail at random for this time, then let `tail-logs` read everything and end it."""
        deadline = time.monotonic() + seconds
        faults = [*self.server.faults] * 2 + [self.stop, self.stop, self.kill, self.restart]
        if self._limited_disk:
            faults += [self.server.fill_disk] * 2
        while time.monotonic() < deadline:
            self.server.act()
            time.sleep(self._chance.choice((0.0, 0.05, 0.2)))
            if self._chance.random() < 0.5:
                fault = self._chance.choice(faults)
                self.faults[fault.__name__] += 1
                fault()
            if len(self.server.rotated_files()) > 2 * KEPT_FILES:
                self._catch_up()
                for path in self.server.rotated_files()[:-KEPT_FILES]:
                    path.unlink()
        self._catch_up()
        self.tail.end()

    def _catch_up(self) -> None:
        """Wait until everything on the disk is read. On a busy machine that takes a while."""
        self.server.act()
        last = f'"sid":"{self.server.sids[-1]}"'.encode()
        wait_until(lambda: last in self._recording.read_bytes()[-LATEST_BYTES:], CATCH_UP_S)

    def _log_meanwhile(self) -> None:
        for _ in range(self._chance.randint(1, 4)):
            self.server.act()
            self._chance.choice(self.server.faults)()

    def stop(self) -> None:
        """Stop the process for a moment; it finds everything that happened meanwhile."""
        with self.tail.paused():
            self._log_meanwhile()

    def kill(self) -> None:
        self._replace(signal.SIGKILL)

    def restart(self) -> None:
        self._replace(signal.SIGTERM)

    def _replace(self, number: int) -> None:
        self.tail.send(number)
        self.server.act()
        self.tail.wait()
        self._log_meanwhile()
        self.tail = self._start()

    def connected(self) -> Counter[str]:
        """Return how often each sid is recorded as connected."""
        raw = self._recording.read_bytes() if self._recording.exists() else b""
        return Counter(line.get("sid", "") for line in lines(raw) if line.get("type") == "connected")

    def compare(self) -> tuple[int, int]:
        """Return how many records are missing, and how many are repeated."""
        recorded = self.connected()
        times = [recorded[sid] for sid in self.server.sids]
        return times.count(0), sum(count - 1 for count in times if count)


@contextmanager
def small_disk(path: Path) -> Iterator[bool]:
    """Mount a small file system at `path`. Yield False if this process may not."""
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(path)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(path)], check=True)


@contextmanager
def blocked_receiver() -> Iterator[str]:
    """Yield the URL of a server that accepts connections and answers nothing."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        held, done = list[socket.socket](), threading.Event()

        def accept() -> None:
            while not done.is_set():
                with suppress(OSError):
                    held.append(server.accept()[0])

        server.settimeout(0.2)
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            done.set()
            thread.join()
            for each in held:
                each.close()
