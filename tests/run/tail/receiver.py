"""An HTTP server that receives the posts of a webhook."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class ReceivedPosts:
    """The received posts as (monotonic time, path, headers, body), whatever the answer was."""

    url: str = ""
    posts: list[tuple[float, str, dict[str, str], Any]] = field(default_factory=list)

    @property
    def bodies(self) -> list[Any]:
        return [body for _, _, _, body in self.posts]


@contextmanager
def start_receiver(answer: Callable[[int], int] = lambda _: 204, *, delay: float = 0.0) -> Iterator[ReceivedPosts]:
    """Listen on loopback. `answer(n)` returns the status of the n-th answer (from 0), sent after `delay` seconds."""
    received, released = ReceivedPosts(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            number = len(received.posts)
            received.posts.append((time.monotonic(), self.path, dict(self.headers), json.loads(body)))
            released.wait(delay)
            self.send_response(answer(number))
            self.send_header("Content-Length", "0")
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except ConnectionError:
                self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    received.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield received
    finally:
        released.set()
        server.shutdown()
        server.server_close()
        thread.join()
