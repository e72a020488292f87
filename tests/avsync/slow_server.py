"""A web server on this machine that serves a folder, and fails as it is told to: one fault a request, in turn."""

import os
import socket
import struct
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PIECE = 2000


class Handler(SimpleHTTPRequestHandler):
    """`server.faults[path]` holds what the next requests for `path` get; without an entry they get the file."""

    server: "SlowServer"  # pyright: ignore[reportIncompatibleVariableOverride]

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].lstrip("/")
        with self.server.lock:
            self.server.asked[path] += 1
            self.server.headers.append(dict(self.headers))
            self.server.queries.append(self.path.partition("?")[2])
            due = self.server.faults[path]
            fault = (due.pop(0) if due else "") if self.server.answering else "stall_at_once"
        file = self.server.folder / path
        if not file.is_file():
            self.send_error(404)
            return
        try:
            FAULTS[fault](self, file.read_bytes())
        except OSError:
            pass  # the client has left

    def begin(self, length: int | None) -> None:
        self.send_response(200)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def send(self, data: bytes) -> None:
        self.wfile.write(data)
        self.wfile.flush()

    def wait(self, seconds: float) -> None:
        """Until the server is closed, at most."""
        self.server.closing.wait(seconds)

    # faults

    def none(self, data: bytes) -> None:
        self.begin(len(data))
        self.send(data)

    def slow(self, data: bytes) -> None:
        self.begin(len(data))
        for start in range(0, len(data), PIECE):
            self.send(data[start : start + PIECE])
            self.wait(0.002)

    def stall(self, data: bytes) -> None:
        self.begin(len(data))
        self.send(data[: len(data) // 2])
        self.wait(600)

    def stall_at_once(self, data: bytes) -> None:
        self.wait(600)

    def drip(self, data: bytes) -> None:
        self.begin(len(data))
        for number in range(len(data)):
            self.send(data[number : number + 1])
            self.wait(0.05)

    def reset(self, data: bytes) -> None:
        self.begin(len(data))
        self.send(data[: len(data) // 2])
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def broken_off(self, data: bytes) -> None:
        self.begin(len(data))
        self.send(data[: len(data) // 2])

    def broken_off_unannounced(self, data: bytes) -> None:
        self.begin(None)
        self.send(data[: len(data) // 2])

    def too_long_announced(self, data: bytes) -> None:
        self.begin(len(data) + 1000)
        self.send(data)

    def too_short_announced(self, data: bytes) -> None:
        self.begin(len(data) - 3000)
        self.send(data)

    def unannounced(self, data: bytes) -> None:
        self.begin(None)
        self.send(data)

    def endless(self, data: bytes) -> None:
        """The file, and then more, as long as anybody listens."""
        self.begin(None)
        self.send(data)
        while not self.server.closing.is_set():
            self.send(bytes(1 << 16))

    def unavailable(self, data: bytes) -> None:
        self.send_error(503)

    def forbidden(self, data: bytes) -> None:
        self.send_error(403)

    def no_http(self, data: bytes) -> None:
        self.send(b"what?\r\n\r\n")

    def flip(self, data: bytes) -> None:
        self.flip_at(data, len(data) // 2)

    def flip_elsewhere(self, data: bytes) -> None:
        self.flip_at(data, len(data) // 4)

    def flip_at(self, data: bytes, place: int) -> None:
        self.begin(len(data))
        self.send(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])

    def page(self, data: bytes) -> None:
        self.none(b"<html>please log in</html>" * 100)

    def moved(self, data: bytes) -> None:
        self.send_response(302)
        self.send_header("Location", self.server.elsewhere + self.path)
        self.end_headers()


FAULTS: dict[str, Callable[[Handler, bytes], None]] = {
    "": Handler.none,
    **{
        name: getattr(Handler, name)
        for name in (
            "slow", "stall", "stall_at_once", "drip", "reset", "broken_off", "broken_off_unannounced",
            "too_long_announced", "too_short_announced", "unannounced", "unavailable", "forbidden", "no_http", "flip",
            "flip_elsewhere", "page", "moved", "endless",
        )
    },
}  # fmt: skip


class SlowServer(ThreadingHTTPServer):
    """Serves `folder` at `url`, in threads, while the context is open."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder, self.lock, self.closing = folder, threading.Lock(), threading.Event()
        self.asked: Counter[str] = Counter()
        self.faults: dict[str, list[str]] = defaultdict(list)
        self.headers: list[dict[str, str]] = []
        self.queries: list[str] = []
        self.answering, self.elsewhere = True, ""
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass

    def __enter__(self) -> "SlowServer":
        os.environ["no_proxy"] = "127.0.0.1"
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()
