"""The gateway's users in a real database: made on first sight, also by many at once."""

from __future__ import annotations

import json

from harness.site import Site

_CODE = """
import json, sys, threading
from airflow import models, settings
from airflow.utils.db import create_session
from airflow_service.gateway import users
from airflow_service.gateway.assertion import Refused
from airflow_service.gateway.identity import Identity
from airflow_service.gateway.roles import Role

def see(subject, email=None):
    users._known.clear()
    try:
        return users.ensure_user(Identity(subject, Role.USER, subject, email))
    except Refused as refused:
        return refused.check

def at_once(subject, times=4):
    ready, found = threading.Barrier(times), []
    def look():
        ready.wait()
        found.append(see(subject))
    threads = [threading.Thread(target=look) for _ in range(times)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    return found

told = {subject: at_once(subject) for subject in json.loads(sys.argv[1])}
again = {subject: see(subject, "a@example.com") for subject in told}
case = [see("Ann"), see("ann"), see("\\u00c4nn")]
with create_session() as session:
    rows = [one.username for one in session.query(models.User).order_by(models.User.id)]
print("told:" + json.dumps([told, again, case, rows]))
"""
# What a directory's names may be: as long as they are taken, and of every plane of Unicode.
SUBJECTS = ["eve@example.com", "安" * 250, "é" * 250, "\U0001f600" * 250, "O'Brien\\%_", "0"]


def seen_first(site: Site, beyond_utf8mb3: bool = True) -> list[object]:
    """Look at each subject with four threads at once; returns what Ann, ann and Änn get after that."""
    told = site.run("-c", _CODE, json.dumps(SUBJECTS), command="python").stdout
    at_once, again, case, rows = json.loads(told.partition("told:")[2])
    taken = [subject for subject in SUBJECTS if beyond_utf8mb3 or subject < "\U00010000"]
    for subject in set(SUBJECTS) - set(taken):
        assert at_once[subject] + [again[subject]] == ["user"] * 5
    for subject in taken:
        assert len(at_once[subject]) == 4, subject
        assert {*at_once[subject], again[subject]} == {again[subject]}, subject
        assert isinstance(again[subject], int), subject
    assert len({again[subject] for subject in taken}) == len(taken)
    assert [rows.count(subject) for subject in taken] == [1] * len(taken)
    found: list[object] = case
    return found
