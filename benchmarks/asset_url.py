"""`url_for` for a static file: the application's against Flask's own, in the same process.

Both are asked within a request below a prefix, in turn. Ours may take 3 µs more.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.table import Row, show
from builder.release import select_release
from builder.workspace import Workspace
from demo.environment import install

ROOT = Path(__file__).resolve().parent.parent
MORE = 3.0
"""Microseconds that an asset's URL may take beyond Flask's own."""

# Runs where the wheel is installed. A CDN that answers stands beside it, as its checks are part of the cost.
_MEASURE = """
import http.server, json, os, sys, threading, timeit
from airflow_service.asset_manifest import installed_manifest

manifest = installed_manifest()

class Origin(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(manifest.content)))
        self.end_headers()
        self.wfile.write(manifest.content)
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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9, help="measurements of each (default: 9)")
    parser.add_argument("--calls", type=int, default=5000, help="calls in each (default: 5000)")
    parser.add_argument("--python", type=Path, help="an interpreter with the wheel (default: that of dist/)")
    arguments = parser.parse_args()
    workspace = Workspace(ROOT)
    python = arguments.python or install(workspace, select_release(workspace.patches, None)) / "bin" / "python"
    with tempfile.TemporaryDirectory() as home:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))}
        environment = {**kept, "AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        argv = [str(python), "-c", _MEASURE, str(arguments.runs), str(arguments.calls)]
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)
    times = json.loads(done.stdout.splitlines()[-1])
    rows = []
    for name, sides in times.items():
        flask = statistics.median(sides["other"])
        rows.append(Row(f"url_for: {name}", sides["ours"], sides["other"], (flask + MORE) / flask, "µs"))
    return show("url_for against Flask's own", rows, {}, ROOT / ".build" / "benchmarks" / "asset_url.svg")


if __name__ == "__main__":
    sys.exit(main())
