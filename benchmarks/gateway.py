"""What an assertion adds to a request: verified each time, and seen before. The same application with and without.

ES256 may add 150 µs, and an assertion that was seen before 50 µs. Times are of the processor, and of the
quietest third of the pairs: what other programs of the machine take from it is no part of the cost.
"""

from __future__ import annotations

import statistics
import sys

from benchmarks.in_wheel import ROOT, measured, parse_arguments
from benchmarks.table import Row, show

NEW, KNOWN, BARE = "an assertion that is new", "an assertion that was seen before", "a signature and nothing else"
MORE = {NEW: 150.0, KNOWN: 50.0}
"""Microseconds that a request may take beyond one to the application without a gateway."""

# Runs where the wheel is installed.
_MEASURE = """
import json, os, sys, time
from pathlib import Path
import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from werkzeug.test import EnvironBuilder

new, known, bare = sys.argv[3:]
key = ec.generate_private_key(ec.SECP256R1())
public = {**ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": "one"}
keys = Path(os.environ["AIRFLOW_HOME"], "keys.json")
keys.write_text(json.dumps({"keys": [public]}))

from airflow import models, settings
from airflow_service.application import ServiceFlask
from airflow_service.gateway.gate import require_assertions
from airflow_service.prefix import place_behind_proxies

models.User.__table__.create(settings.engine)

def application(guarded):
    app = ServiceFlask("bench")
    app.secret_key = "a"
    place_behind_proxies(app)
    if guarded:
        os.environ |= {"AIRFLOW__WEBSERVER__AUTHENTICATE": "True",
                       "AIRFLOW__WEBSERVER__AUTH_BACKEND": "airflow_service.gateway",
                       "AIRFLOW__SERVICE__GATEWAY_KEYS": str(keys), "AIRFLOW__SERVICE__CLUSTER_ID": "eu-1",
                       "AIRFLOW__SERVICE__GATEWAY_ISSUER": "https://gateway"}
        require_assertions(app)
    app.add_url_rule("/x", "x", lambda: "x")
    return app

def assertion(number):
    now = int(time.time())
    claims = {"iss": "https://gateway", "aud": "eu-1", "sub": "ann@example.com", "role": "user", "iat": now,
              "nbf": now, "exp": now + 600, "jti": str(number), "email": "ann@example.com", "name": "Ann Lee"}
    return jwt.encode(claims, key, "ES256", {"kid": "one"})

def request(value=None):
    environ = EnvironBuilder("/x").get_environ()
    return environ if value is None else environ | {"HTTP_X_AIRFLOW_ASSERTION": value}

def taken(app, requests):
    began = time.thread_time_ns()
    for environ in requests:
        for _ in app.wsgi_app(environ, lambda status, headers, error=None: (200 if status == "200 OK" else 1 / 0)):
            pass
    return (time.thread_time_ns() - began) / len(requests) / 1e3

message, signature = b"x" * 400, key.sign(b"x" * 400, ec.ECDSA(hashes.SHA256()))
public_key = key.public_key()
runs, calls = map(int, sys.argv[1:3])
# Between two requests the tables of the curve have left the cache, as in a loop they do not.
signed = application(False)
signed.before_request(lambda: public_key.verify(signature, message, ec.ECDSA(hashes.SHA256())))
plain, guarded = application(False), application(True)
same = assertion("same")
taken(plain, [request()] * 20), taken(guarded, [request(same)] * 20)
times = {name: {"ours": [], "other": []} for name in (new, known, bare)}
for run in range(runs):
    for name in times:
        given = [request(assertion((run, number)) if name == new else same) for number in range(calls)]
        times[name]["other"].append(taken(plain, [request() for _ in range(calls)]))
        times[name]["ours"].append(taken(signed if name == bare else guarded, given))
print(json.dumps(times))
"""


def main() -> int:
    arguments = parse_arguments(__doc__, runs=60, calls=100, of="requests")
    times = measured(arguments, _MEASURE, NEW, KNOWN, BARE)
    rows, notes = [], {}
    for name, pairs in times.items():
        quiet = sorted(zip(pairs["ours"], pairs["other"], strict=True), key=sum)[: arguments.runs // 3 + 1]
        sides = {"ours": [ours for ours, _ in quiet], "other": [other for _, other in quiet]}
        other = statistics.median(sides["other"])
        limit = (other + MORE[name]) / other if name in MORE else None
        rows.append(Row(f"request: {name}", sides["ours"], sides["other"], limit, "µs"))
        allowed = f" of the {MORE[name]:.0f} that it may" if name in MORE else ""
        notes[f"{name} adds"] = f"{statistics.median(sides['ours']) - other:.0f} µs{allowed}"
    return show("A request behind a gateway", rows, notes, ROOT / ".build" / "benchmarks" / "gateway.svg")


if __name__ == "__main__":
    sys.exit(main())
