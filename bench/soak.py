"""Memory and descriptors of `tail-logs` in half an hour: 300 connects a second, metrics scraped, a failing webhook.

`--minutes` shortens it.
"""

import tempfile
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path

from tests.run.tail.process import LoggingServer, TailProcess, wait_until
from tests.run.tail.receiver import start_receiver

CONNECTS_PER_SECOND = 300
USERS = 300
MINUTES = 30.0
SCRAPE_S = 5.0
ROTATE_S = 60.0
TICK_S = 0.1
KEPT_ROTATIONS = 3
SHARES = (1 / 6, 1 / 2, 1.0)
"""Parts of the run after which the figures are printed: minutes 5, 15 and 30 of 30."""


class SoakWriter:
    """A server whose users reconnect all the time; one in a hundred opens a second connection. Its log is rotated."""

    def __init__(self, path: Path) -> None:
        self.server = LoggingServer(path)
        self.rotations = 0
        self._open: dict[int, str] = {}
        self._next = 0

    def tick(self, count: int) -> None:
        """Log `count` connects and the ends of the users' earlier connections."""
        for _ in range(count):
            number = self._next % USERS
            user, earlier = f"user {number}", self._open.get(number)
            if earlier is not None and self._next % 100:
                self.server.disconnect(earlier)
                self._open[number] = self.server.connect(user)
            elif earlier is not None:
                self._open[number] = self.server.replace(user, earlier)
            else:
                self._open[number] = self.server.connect(user)
            self._next += 1

    def rotate(self) -> None:
        """Rotate the log, and delete what was rotated before the last times."""
        self.server.rotate()
        self.server.reopen()
        self.rotations += 1
        self.server.path.with_name(f"{self.server.path.name}.{KEPT_ROTATIONS + 1}").unlink(missing_ok=True)


class Scraper:
    """A client that reads the metrics every few seconds."""

    def __init__(self, address: str) -> None:
        self.address, self.scrapes, self.failures = address, 0, 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._done.wait(SCRAPE_S):
            try:
                with urllib.request.urlopen(self.address, timeout=SCRAPE_S) as answer:
                    answer.read()
                self.scrapes += 1
            except OSError:
                self.failures += 1

    def close(self) -> None:
        self._done.set()
        self._thread.join()


def run(minutes: float = MINUTES) -> None:
    """Print memory, descriptors and CPU time at a sixth, a half and the end of the run, then what was lost."""
    with tempfile.TemporaryDirectory(prefix="wscheck-bench-") as folder, start_receiver(lambda _: 503) as receiver:
        writer = SoakWriter(Path(folder, "app.log"))
        options = ["app.log", "--from-start", "--format", "ndjson", "--metrics", "127.0.0.1:0"]
        with TailProcess(*options, "--webhook", receiver.url, directory=Path(folder)) as tail:
            wait_until(lambda: "/metrics" in tail.err)
            scraper = Scraper(next(word for word in tail.err.split() if word.endswith("/metrics")))
            print(f"{'minute':>7} {'connects':>10} {'RSS MB':>8} {'descriptors':>12} {'CPU':>7}")
            started = time.monotonic()
            _write(writer, tail, started, 60 * minutes)
            wait_until(lambda: _connects(tail)[1] >= len(writer.server.sids), 600)
            scraper.close()
            tail.end()
            counted = _connects(tail)[0]
    missing = sum(sid not in counted for sid in writer.server.sids)
    repeated = sum(counted.values()) - len(counted)
    print(
        f"{len(writer.server.sids):,} connects over {writer.rotations} rotations: {missing} lost, {repeated} repeated"
    )
    print(f"{scraper.scrapes} scrapes, {scraper.failures} failed; {len(receiver.posts)} posts answered with 503")


def _write(writer: SoakWriter, tail: TailProcess, started: float, seconds: float) -> None:
    marks, rotate_at = [share * seconds for share in SHARES], ROTATE_S
    written, last_cpu, last_at = 0, _cpu_seconds(tail), 0.0
    while (elapsed := time.monotonic() - started) < seconds or marks:
        if marks and elapsed >= marks[0]:
            cpu = _cpu_seconds(tail)
            used = (cpu - last_cpu) / (elapsed - last_at)
            rss, fds = _resident_mb(tail), len(list(Path(f"/proc/{tail.process.pid}/fd").iterdir()))
            print(f"{elapsed / 60:>7.1f} {written:>10,} {rss:>8.1f} {fds:>12} {used:>7.1%}", flush=True)
            marks.pop(0)
            last_cpu, last_at = cpu, elapsed
        if elapsed >= rotate_at:
            writer.rotate()
            rotate_at += ROTATE_S
        due = int(elapsed * CONNECTS_PER_SECOND) - written
        writer.tick(due)
        written += due
        time.sleep(TICK_S)


def _connects(tail: TailProcess) -> tuple[Counter[str], int]:
    """Return how often each sid was recorded as connected, and how many were."""
    counted = Counter[str]()
    with tail.recording.open("rb") as recording:
        for line in recording:
            if line.startswith(b'{"type":"connected"') and b'"sid":"' in line:
                counted[line.split(b'"sid":"')[1].split(b'"')[0].decode()] += 1
    return counted, len(counted)


def _resident_mb(tail: TailProcess) -> float:
    status = Path(f"/proc/{tail.process.pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in status if line.startswith("VmRSS"))) / 1024


def _cpu_seconds(tail: TailProcess) -> float:
    fields = Path(f"/proc/{tail.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
