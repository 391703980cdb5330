"""The store answers as S3 does, and says what is wrong in words that a caller can act on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from airflow_service.log_chain import Writer, segment
from airflow_service.log_chain.writing import new_id
from airflow_service.object_store import (
    Changed,
    Denied,
    Exists,
    Expired,
    NoBucket,
    ObjectStore,
    StoreError,
    Unreachable,
    opening,
)
from airflow_service.object_store.location import Location
from airflow_service.object_store.opening import open_store, written_with
from airflow_service.object_store.uploads import Upload
from airflow_service.options import ServiceSettings
from harness.faulty_proxy import Fault, FaultyProxy
from harness.log_store import settings_for, store_on
from harness.s3 import S3Server

pytestmark = pytest.mark.slow


def test_write_and_read(store: ObjectStore, s3: S3Server) -> None:
    """A name is created once; an object is replaced only as long as it is the one that was seen."""
    name = "dag/ü x+y/2020-01-01T00:00:00+00:00/1.log"
    assert store.head(name) is None
    assert store.read(name) is None
    made = store.create(name, b"0123456789", {"put": "a"})
    with pytest.raises(Exists):
        store.create(name, b"other")
    assert store.head(name) == made
    assert (made.size, made.metadata) == (10, {"put": "a"})
    other = store.replace(name, made.etag, b"0123456789a")
    with pytest.raises(Changed):
        store.replace(name, made.etag, b"")
    with pytest.raises(Changed):
        store.replace("nothing", made.etag, b"")
    assert store.head(name) == other
    assert s3.objects(store.location.bucket) == {f"logs/{name}": b"0123456789a"}


def test_ranges(store: ObjectStore) -> None:
    """A range beyond the end is less, or nothing; an empty object is one."""
    store.create("a", b"0123456789")
    store.create("empty", b"")
    assert store.read("a", 3, 5) == b"34"
    assert store.read("a", 8, 50) == b"89"
    assert store.read("a", 10) == b""
    assert store.read("a", 4, 4) == b""
    assert store.read("a", last=3) == b"789"
    assert store.read("a", last=30) == b"0123456789"
    assert b"".join(store.stream("a", 2)) == b"23456789"
    found = store.head("empty")
    assert found is not None
    assert found.size == 0
    assert store.read("empty") == b""
    with pytest.raises(Changed):
        next(store.stream("nothing"))


def test_listing(store: ObjectStore) -> None:
    """Names come sorted, from a name on, and by folder."""
    for name in ("a/1", "a/2", "a/3", "b/1"):
        store.create(name, b"x")
    assert [one.name for one in store.list("a/", after="a/1")] == ["a/2", "a/3"]
    assert [one.name for one in store.list("", limit=2)] == ["a/1", "a/2"]
    assert list(store.folders("")) == ["a", "b"]
    store.delete(["a/1", "a/2", "nothing"])
    assert [one.name for one in store.list("")] == ["a/3", "b/1"]


def test_somebody_elses_page(store: ObjectStore, proxy: FaultyProxy) -> None:
    """What a proxy answers in the store's place is no log, no absence, and no object that was stored."""
    store.create("a", b"x")
    upload = Upload(store, "b", {})
    requests: list[Callable[[], object]] = [
        lambda: store.head("a"),
        lambda: store.read("a"),
        lambda: store.read("a", 0, 1),
        lambda: list(store.stream("a")),
        lambda: store.create("c", b"x"),
        lambda: store.replace("a", '"etag"', b"x"),
        lambda: Upload(store, "c", {}),
        lambda: upload.part(1, b"x"),
        lambda: upload.copy(1, "a", '"etag"', 0, 1),
    ]
    for ask in requests:
        proxy.faults.append(Fault("page"))
        with pytest.raises(Unreachable, match="is not a store's"):
            ask()
    upload.abort()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("403 AccessDenied", Denied),
        ("403 RequestTimeTooSkewed", Denied),
        ("400 ExpiredToken", Expired),
        ("404 NoSuchBucket", NoBucket),
        ("500 InternalError", Unreachable),
        ("503 SlowDown", Unreachable),
        ("409 ConditionalRequestConflict", Unreachable),
        ("reset", Unreachable),
        ("400 Odd", StoreError),
    ],
)
@pytest.mark.parametrize("ask", ["head", "create", "list"])
def test_errors(
    store: ObjectStore,
    proxy: FaultyProxy,
    fault: str,
    error: type[StoreError],
    ask: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No error is taken for an absence, and each says what was asked and answered."""
    monkeypatch.setattr(opening, "ATTEMPTS", 1)
    requests: dict[str, Callable[[], object]] = {
        "head": lambda: store.head("a"),
        "create": lambda: store.create("a", b"x" * 1000),
        "list": lambda: list(store.list("a")),
    }
    proxy.faults.append(Fault(fault))
    with pytest.raises(error) as raised:
        requests[ask]()
    assert type(raised.value) is error or error is Denied
    assert f"s3://{store.location.bucket}/logs/a" in str(raised.value)
    if " " in fault:
        assert fault in str(raised.value)


def test_faults_that_pass_are_not_seen(store: ObjectStore, proxy: FaultyProxy) -> None:
    """botocore tries again, and a body that was damaged on its way is never taken."""
    proxy.faults += [Fault("503 SlowDown"), Fault("reset")]
    store.create("a", b"x" * 1000)
    proxy.faults.append(Fault("truncated", "GET"))
    with pytest.raises(Unreachable):
        store.read("a")
    proxy.faults.append(Fault("corrupt", "PUT"))
    with pytest.raises(StoreError):
        store.create("b", b"x" * 1000)
    assert store.head("b") is None
    assert store.read("a") == b"x" * 1000


def test_a_lost_answer(store: ObjectStore, proxy: FaultyProxy) -> None:
    """The second try meets what the first has made; metadata tell that."""
    proxy.faults.append(Fault("lost", "PUT"))
    with pytest.raises(Exists):
        store.create("a", b"x", {"put": "mine"})
    found = store.head("a")
    assert found is not None
    assert found.metadata == {"put": "mine"}


def test_credentials_that_expire(
    store: ObjectStore, proxy: FaultyProxy, tmp_path: Path, s3: S3Server
) -> None:
    """After an expired token the credentials are read anew."""
    file = tmp_path / "credentials-admin"
    good = file.read_text()
    file.write_text(good.replace("admin-secret", "wrong"))
    with pytest.raises(Denied, match="the secret key is wrong"):
        store.head("a")
    file.write_text(good)
    proxy.faults.append(Fault("400 ExpiredToken"))
    with pytest.raises(Expired):
        store.head("a")
    assert store.head("a") is None


def test_rights(s3: S3Server, tmp_path: Path) -> None:
    """Who may neither list nor delete can write and read."""
    bucket = s3.bucket()
    writer = store_on(s3.url, bucket, tmp_path, "writer")
    writer.create("a", b"x")
    with pytest.raises(Denied):
        list(writer.list(""))
    with pytest.raises(Denied):
        store_on(s3.url, bucket, tmp_path, "reader").create("b", b"x")
    with pytest.raises(NoBucket):
        store_on(s3.url, "no-such-bucket", tmp_path).head("a")
    assert writer.read("a") == b"x"


def test_nothing_listens(tmp_path: Path) -> None:
    """It is told, and soon."""
    with pytest.raises(Unreachable):
        store_on("http://127.0.0.1:9", "bucket", tmp_path).head("a")


def test_no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is a refusal, with its reason."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    settings = settings_for("http://127.0.0.1:9", tmp_path)
    Path(settings.logs_credentials_file).write_text("[default]\n")
    with pytest.raises(Denied, match="credentials"):
        opening.open_store("s3://bucket/x", settings).head("a")


def test_where_credentials_come_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's keys are used, but for a profile or a file that is named."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "from-environment")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    (tmp_path / "config").write_text(
        "[profile logs]\naws_access_key_id = from-profile\naws_secret_access_key = x\nregion = eu-central-1\n"
    )

    def key(**settings: str) -> str:
        client = opening.make_client(
            ServiceSettings(logs_region=settings.pop("region", "us-east-1"), **settings)
        )  # type: ignore[arg-type]
        return str(client._request_signer._credentials.access_key)

    assert key() == "from-environment"
    assert key(logs_profile="logs") == "from-profile"
    file = settings_for("", tmp_path).logs_credentials_file
    assert key(logs_credentials_file=file) == "admin"


def test_how_objects_are_written() -> None:
    """Encryption and storage class are asked for in each write; never an access control list."""
    assert written_with(ServiceSettings()) == {"ChecksumAlgorithm": "CRC32"}
    assert written_with(ServiceSettings(), encrypted=True)["ServerSideEncryption"] == "AES256"
    settings = ServiceSettings(logs_encryption="aws:kms", logs_kms_key="k", logs_storage_class="STANDARD_IA")
    assert written_with(settings, encrypted=True) == {
        "ChecksumAlgorithm": "CRC32",
        "ServerSideEncryption": "aws:kms",
        "SSEKMSKeyId": "k",
        "StorageClass": "STANDARD_IA",
    }


def test_segments_are_in_the_standard_class(s3: S3Server, tmp_path: Path) -> None:
    """Those of another are paid for by the month, however soon they are deleted."""
    bucket = s3.bucket()
    settings = dataclasses.replace(settings_for(s3.url, tmp_path), logs_storage_class="STANDARD_IA")
    writer = Writer(open_store(f"s3://{bucket}/logs", settings), "1.log")
    writer.append(b"line\n", new_id(), 0)

    def found() -> list[tuple[str, str]]:
        listed = s3.client().list_objects_v2(Bucket=bucket)["Contents"]
        return [(one["Key"], one["StorageClass"]) for one in listed]

    assert found() == [(f"logs/{segment('1.log', 0)}", "STANDARD")]
    writer.merge()
    assert found() == [("logs/1.log", "STANDARD_IA")]


@pytest.mark.parametrize("url", ["http://bucket/x", "s3://", "s3:///x", "s3://a/x", "s3://under_score/x"])
def test_no_location(url: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        Location.parse(url)


def test_location() -> None:
    assert str(Location.parse("s3://bucket/a/b/")) == "s3://bucket/a/b"
    assert Location.parse("s3://bucket/a/b/").key("x/1.log") == "a/b/x/1.log"
    assert Location.parse("s3://bucket").key("x/1.log") == "x/1.log"
