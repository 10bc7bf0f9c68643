"""A reference receiver: what an outside grid platform has to do, in a process of its own.

    python grid_platform.py PORT_FILE LOG SECRET

Checks the signature of what it is told, keeps each delivery once, and answers 503 to every third one so
that the sender has to come again. Standard library only: the far side does not run this project.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar


class Receiver(BaseHTTPRequestHandler):
    """One told step at a time."""

    secret = b""
    log = Path()
    asked = 0
    seen: ClassVar[set[str]] = set()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        key, at = self.headers["X-Wusetu-Key"], self.headers["X-Wusetu-Time"]
        head = f"v2\n{key}\n{at}\nPOST {self.path}\n".encode()  # path and query
        wanted = "v2=" + hmac.new(self.secret, head + body, hashlib.sha256).hexdigest()
        good = hmac.compare_digest(wanted, self.headers["X-Wusetu-Signature"])
        if not good or abs(time.time() - int(at)) > 300:
            self.answer(401)
            return
        Receiver.asked += 1
        if Receiver.asked % 3 == 1:
            self.answer(503)
            return
        delivery = self.headers["Idempotency-Key"]
        if delivery not in self.seen:
            self.seen.add(delivery)
            with self.log.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"delivery": delivery, **json.loads(body)}) + "\n")
        self.answer(200)

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    port_file, log, secret = sys.argv[1:]
    Receiver.log, Receiver.secret = Path(log), secret.encode()
    server = HTTPServer(("127.0.0.1", 0), Receiver)
    partial = Path(port_file + ".part")
    partial.write_text(str(server.server_port))
    partial.rename(port_file)
    server.serve_forever()
