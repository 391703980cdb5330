"""`url_for` for a static file: the application's against Flask's own, in the same process.

Both are asked within a request below a prefix, in turn. Ours may take 3 µs more.
"""

from __future__ import annotations

import statistics
import sys

from benchmarks.in_wheel import ROOT, measured, parse_arguments
from benchmarks.table import Row, show

MORE = 3.0
"""Microseconds that an asset's URL may take beyond Flask's own."""

# Runs where the wheel is installed. A CDN that answers stands beside it, as its checks are part of the cost.
_MEASURE = """
import http.server, json, os, sys, threading, timeit
from airflow_service.asset_manifest import FOLDER, installed_manifest

manifest = installed_manifest()

class Origin(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.rpartition("/")[2]
        body = (FOLDER / "a" / name).read_bytes() if self.path.startswith("/a/") else manifest.content
        self.send_response(200)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass

origin = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
threading.Thread(target=origin.serve_forever, daemon=True).start()

from airflow_service.application import ServiceFlask

own = ServiceFlask("own")
os.environ["AIRFLOW__SERVICE__CDN_URL"] = f"http://127.0.0.1:{origin.server_port}"
cdn = ServiceFlask("cdn")
runs, calls = map(int, sys.argv[1:])
cases = {
    "asset, from the webserver": (own, "main.css"),
    "asset, from the CDN": (cdn, "main.css"),
    "file that the manifest does not know": (own, "unknown.css"),
}
times = {name: {"ours": [], "other": []} for name in cases}
for _ in range(runs):
    for name, (app, file) in cases.items():
        with app.test_request_context("/admin/", base_url="https://host/airflow-1/"):
            for side, call in (("ours", app.url_for), ("other", super(type(app), app).url_for)):
                taken = timeit.timeit(lambda: call("static", filename=file), number=calls)
                times[name][side].append(taken / calls * 1e6)
with cdn.test_request_context("/"):
    assert cdn.url_for("static", filename="main.css").startswith(os.environ["AIRFLOW__SERVICE__CDN_URL"])
print(json.dumps(times))
"""


def main() -> int:
    arguments = parse_arguments(__doc__, runs=9, calls=5000, of="calls")
    times = measured(arguments, _MEASURE)
    rows = []
    for name, sides in times.items():
        flask = statistics.median(sides["other"])
        rows.append(Row(f"url_for: {name}", sides["ours"], sides["other"], (flask + MORE) / flask, "µs"))
    return show("url_for against Flask's own", rows, {}, ROOT / ".build" / "benchmarks" / "asset_url.svg")


if __name__ == "__main__":
    sys.exit(main())
