"""Where machines get short-lived credentials, on the loopback: a role's endpoint, and STS."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

_STS = """\
<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result>
<AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/logs/x</Arn><AssumedRoleId>A:x</AssumedRoleId>
</AssumedRoleUser><Credentials><AccessKeyId>{user}</AccessKeyId><SecretAccessKey>{user}-secret</SecretAccessKey>
<SessionToken>{token}</SessionToken><Expiration>{expiration}</Expiration></Credentials>
</{action}Result><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></{action}Response>
"""


@dataclass
class Issuer:
    """Gives out the credentials of `user`, for `seconds`; `asked` is who asked for what, with what."""

    user: str = "admin"
    seconds: float = 3600
    token: str = ""
    port: int = 0
    asked: list[dict[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def expiration(self) -> str:
        return f"{datetime.now(UTC) + timedelta(seconds=self.seconds):%Y-%m-%dT%H:%M:%SZ}"


class _Handler(BaseHTTPRequestHandler):
    issuer: Issuer

    def do_GET(self) -> None:
        """As a container's endpoint answers."""
        self.issuer.asked.append({"path": self.path, "authorization": self.headers.get("Authorization", "")})
        user = self.issuer.user
        answer = {
            "AccessKeyId": user, "SecretAccessKey": f"{user}-secret", "Token": self.issuer.token,
            "Expiration": self.issuer.expiration,
        }  # fmt: skip
        self._answer("application/json", json.dumps(answer))

    def do_POST(self) -> None:
        """As STS answers."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        asked = {name: values[0] for name, values in parse_qs(body).items()}
        self.issuer.asked.append({**asked, "authorization": self.headers.get("Authorization", "")})
        answer = _STS.format(
            action=asked["Action"], user=self.issuer.user, token=self.issuer.token, expiration=self.issuer.expiration
        )
        self._answer("text/xml", answer)

    def _answer(self, kind: str, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *values: object) -> None:
        """Nothing: tests look at `asked`."""


@contextmanager
def issuer() -> Iterator[Issuer]:
    """One that runs on a free port of the loopback."""
    given = Issuer()
    handler = type("Handler", (_Handler,), {"issuer": given})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        given.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield given
        finally:
            server.shutdown()
            thread.join()
