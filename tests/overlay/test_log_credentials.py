"""Short-lived credentials for logs, as botocore's own chain gets and renews them, used on a store that checks keys."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from airflow_service.log_chain import Writer
from airflow_service.log_chain.writing import new_id
from airflow_service.log_reading.extents import Memory
from airflow_service.log_reading.stored import StoredText
from airflow_service.object_store import Expired, ObjectStore, open_store
from airflow_service.options import ServiceSettings
from airflow_service.task_logs.journal import Keeper, is_live
from airflow_service.task_logs.shipper import Shipper
from airflow_service.task_logs.sweep import sweep
from harness.credentials import Issuer, issuer
from harness.faulty_proxy import FaultyProxy, faulty_proxy
from harness.log_readers import Follower
from harness.s3 import S3Server
from harness.shipping import LOG, log, text, until

pytestmark = pytest.mark.slow
ROLE = "arn:aws:iam::123456789012:role/logs"
PROCESS = """\
#!/bin/sh
echo asked >> {folder}/asked
read user seconds token < {folder}/answer
printf '{{"Version": 1, "AccessKeyId": "%s", "SecretAccessKey": "%s-secret", "SessionToken": "%s", ' \\
    "$user" "$user" "$token"
printf '"Expiration": "%s"}}' "$(date -u -d "$seconds seconds" +%Y-%m-%dT%H:%M:%SZ)"
"""


@pytest.fixture
def given() -> Iterator[Issuer]:
    with issuer() as running:
        yield running


@pytest.fixture
def proxy(s3: S3Server) -> Iterator[FaultyProxy]:
    """Before the store, which knows neither lifetimes nor sessions."""
    with faulty_proxy(s3.url) as running:
        yield running


@pytest.fixture(params=["container", "process", "web identity", "role"])
def way(
    request: pytest.FixtureRequest, given: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """Where the machine has its credentials from; nothing of the user's own."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {tmp_path}/process\n")
    (tmp_path / "process").write_text(PROCESS.format(folder=tmp_path))
    (tmp_path / "process").chmod(0o700)
    (tmp_path / "token").write_text("of the cluster")
    ways = {
        "container": {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{given.url}/here",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": "Bearer it",
        },
        "process": {"AWS_CONFIG_FILE": str(tmp_path / "config")},
        "web identity": {
            "AWS_ENDPOINT_URL_STS": given.url,
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"),
            "AWS_ROLE_ARN": ROLE,
        },
        "role": {
            "AWS_ENDPOINT_URL_STS": given.url,
            "AWS_ACCESS_KEY_ID": "machine",
            "AWS_SECRET_ACCESS_KEY": "its-secret",
        },
    }
    alone = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull}
    for name, value in {**alone, **ways[request.param]}.items():
        monkeypatch.setenv(name, value)
    return str(request.param)


def give(given: Issuer, proxy: FaultyProxy, folder: Path, user: str, seconds: float) -> None:
    """From now on, credentials of this user for so long, wherever they are asked for, with a session of its own."""
    given.user, given.seconds, given.token = user, seconds, f"{user}/{secrets.token_hex(8)}+="
    proxy.tokens.setdefault(user, set()).add(given.token)
    (folder / "answer").write_text(f"{user} {seconds:g} {given.token}\n")


def asked(way: str, given: Issuer, folder: Path) -> int:
    """How often they were asked for; they were asked for rightly."""
    if way == "process":
        return len((folder / "asked").read_text().splitlines())
    last = given.asked[-1]
    if way == "container":
        assert (last["path"], last["authorization"]) == ("/here", "Bearer it")
        return len(given.asked)
    assert last["RoleArn"] == ROLE
    if way == "web identity":
        assert last["Action"] == "AssumeRoleWithWebIdentity"
        assert last["WebIdentityToken"] == "of the cluster"
        assert not last["authorization"]
    else:
        assert last["Action"] == "AssumeRole"
        assert "Credential=machine/" in last["authorization"]
    return len(given.asked)


def store_through(proxy: FaultyProxy, bucket: str, way: str) -> ObjectStore:
    settings = ServiceSettings(
        logs_endpoint_url=proxy.url, logs_region="us-east-1", logs_role_arn=ROLE if way == "role" else ""
    )
    return open_store(f"s3://{bucket}/logs", settings)


def test_credentials_that_expire(way: str, given: Issuer, s3: S3Server, proxy: FaultyProxy, tmp_path: Path) -> None:
    """A writer and a reader that live on get new ones in time; also where the store ends them before their time."""
    store = store_through(proxy, s3.bucket(), way)
    page = Follower(lambda: [StoredText(store, LOG, memory)])
    memory = Memory()

    def append(body: bytes) -> None:
        writer = Writer(store, LOG)
        writer.append(body, new_id(), writer.end())

    give(given, proxy, tmp_path, "writer", 2)
    append(b"one\n")
    page.look()
    # The store takes them no more; the next ones are good for an hour.
    proxy.expired = {"writer"}
    give(given, proxy, tmp_path, "admin", 3600)
    append(b"two\n")
    page.look()
    assert page.text == "one\ntwo\n"
    assert not any(look.trouble for look in page.looks)
    before = asked(way, given, tmp_path)
    for _ in range(3):
        page.look()
    assert asked(way, given, tmp_path) == before
    # Ended before their time, as a role is by its administrator: one look tells of it, the next one gets on.
    proxy.expired = {"admin"}
    give(given, proxy, tmp_path, "writer", 3600)
    proxy.expired.discard("writer")
    assert "ExpiredToken" in page.look().trouble
    append(b"three\n")
    assert page.look().trouble == ""
    assert page.text == "one\ntwo\nthree\n"
    assert asked(way, given, tmp_path) == before + 1
    # Another session's token, or none, is refused.
    proxy.tokens = {"writer": {"of nobody"}}
    assert "InvalidToken" in page.look().trouble
    give(given, proxy, tmp_path, "admin", -10)
    with pytest.raises(Expired, match="still expired"):
        store_through(proxy, s3.bucket(), way).read(LOG)


@pytest.mark.parametrize("way", ["container"], indirect=True)
def test_a_task_that_runs_meanwhile(
    way: str, given: Issuer, s3: S3Server, proxy: FaultyProxy, tmp_path: Path, keeper: Keeper, quick: None
) -> None:
    """While credentials cannot be had it goes on, and its log follows: by its own process, or by the sweep."""
    store = store_through(proxy, s3.bucket(), way)
    give(given, proxy, tmp_path, "writer", 3)
    shipper = Shipper(keeper, LOG, lambda: store)
    log(keeper, b"one\n")
    until(lambda: proxy.count("PUT") > 0)
    give(given, proxy, tmp_path, "writer", -10)
    proxy.expired = {"writer"}
    log(keeper, b"two\n")
    until(lambda: "xpired" in shipper.problem)
    proxy.expired = set()
    give(given, proxy, tmp_path, "admin", 3600)
    until(lambda: text(store) == b"one\ntwo\n")
    give(given, proxy, tmp_path, "admin", -10)
    proxy.expired = {"admin"}
    log(keeper, b"three\n")
    begun = time.monotonic()
    assert not shipper.close()
    assert time.monotonic() - begun < 5
    until(lambda: not is_live(keeper, LOG))
    assert list(sweep(store=store, base=keeper.base).failed) == [LOG]
    give(given, proxy, tmp_path, "writer", 3600)
    assert sweep(store=store, base=keeper.base).shipped == [LOG]
    assert store.read(LOG) == b"one\ntwo\nthree\n"
