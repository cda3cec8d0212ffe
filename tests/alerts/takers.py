"""Who takes alerts, on real sockets: a chat service over HTTP, and a mail server."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterator


class Chat(ThreadingHTTPServer):
    """Takes what is posted, as Slack and its like do. `hangs`: it never answers."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _ChatCall)
        self.bodies: list[bytes] = []
        self.status = 200
        self.hangs = False
        self.ended = threading.Event()
        self.arrived = threading.Event()

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _ChatCall(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        chat = cast("Chat", self.server)
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if chat.hangs:
            chat.ended.wait()
            return
        chat.bodies.append(body)
        chat.arrived.set()
        self.send_response(chat.status)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *args: Any) -> None:  # noqa: ANN401 - as the base class has it
        """Keep the terminal clean."""
        del args


class PostOffice(socketserver.ThreadingTCPServer):
    """As much of SMTP as it takes to be handed a mail."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Delivery)
        self.mails: list[str] = []
        self.arrived = threading.Event()

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Delivery(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        office = cast("PostOffice", self.server)
        self._say("220 here")
        while line := self.rfile.readline().decode(errors="replace").strip():
            command = line.partition(" ")[0].upper()
            if command == "DATA":
                self._say("354 go on")
                office.mails.append(self._mail())
                office.arrived.set()
                self._say("250 taken")
            elif command == "QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 fine")

    def _mail(self) -> str:
        lines = []
        while (line := self.rfile.readline()) not in {b".\r\n", b""}:
            lines.append(line.decode(errors="replace"))
        return "".join(lines)

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@contextlib.contextmanager
def open_to_all(server: socketserver.BaseServer) -> Iterator[None]:
    """It answers while the block runs."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield
    finally:
        if isinstance(server, Chat):
            server.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()
