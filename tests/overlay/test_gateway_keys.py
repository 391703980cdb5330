"""Tests of airflow_service.gateway.keys, against files and servers of keys that fail in every way."""

from __future__ import annotations

import gzip
import itertools
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow_service.gateway import key_source
from airflow_service.gateway.key_set import NoKeys, read_key_set, read_pem
from airflow_service.gateway.keys import Keys, Pace
from airflow_service.gateway.options import KeySource
from harness.assertions import Gateway, base64url
from harness.key_server import KeyServer, keys_of, serving_keys

PACE = Pace(file=0.05, url=0.3, one=0.3, retry=0.05, unknown=0.1, first=1)
GATEWAY = Gateway()
GOOD = json.dumps(GATEWAY.key_set()).encode()
BOMB = gzip.compress(b" " * 2**24)


def until(holds: Callable[[], Any], seconds: float = 5) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


Reading = Callable[..., Keys]


@pytest.fixture
def reading() -> Iterator[Reading]:
    """Keys of a source, whose renewal ends with the test."""
    made: list[Keys] = []

    def read(source: str | Path, pace: Pace = PACE) -> Keys:
        made.append(Keys(KeySource.parse(str(source)), pace))
        return made[-1]

    yield read
    for keys in made:
        keys.end()


def test_each_kind_of_key_is_read_for_its_own_algorithm() -> None:
    """A key verifies what it is for, whatever an assertion asks it for."""
    read = read_key_set(GOOD, secrets_allowed=False)
    for algorithm in ("ES256", "RS256", "EdDSA"):
        key = read.find(GATEWAY.kid(algorithm), algorithm)
        assert key is not None
        assert read.find(None, algorithm) == key
        assert "public" not in repr(key)
    assert read.find(GATEWAY.kid("ES256"), "RS256") is None
    assert read.find("other", "ES256") is None
    assert read_pem(GATEWAY.pem(), "a").find("a", "ES256") is not None


def _entry(**changes: Any) -> dict[str, Any]:
    return {**GATEWAY.public("ES256"), **changes}


_NOT_KEYS: dict[str, Any] = {
    "no JSON": b"<html>", "no UTF-8": b"\xff", "nothing": b"", "a list": b"[]", "null": b"null", "nested": b"[" * 9999,
    "no keys": {"keys": []}, "keys of another type": {"keys": {"a": 1}}, "a key alone": _entry(),
    "an entry that is none": {"keys": [1, None, "key"]}, "too many": {"keys": [_entry(kid=str(n)) for n in range(101)]},
    "another use": {"keys": [_entry(use="enc")]}, "other operations": {"keys": [_entry(key_ops=["sign"])]},
    "an alg of another kind": {"keys": [_entry(alg="RS256")]}, "an alg not used": {"keys": [_entry(alg="none")]},
    "a kid that is a number": {"keys": [_entry(kid=1)]}, "a private key": {"keys": [_entry(d="AAAA")]},
    "off the curve": {"keys": [_entry(x=base64url(b"\1" * 32))]}, "a short coordinate": {"keys": [_entry(x="AA")]},
    "a coordinate of another type": {"keys": [_entry(x=1)]}, "no coordinate": {"keys": [{"kty": "EC", "crv": "P-256"}]},
    "another curve": {"keys": [_entry(crv="secp256k1")]}, "another kind": {"keys": [_entry(kty="XYZ")]},
    "a secret": {"keys": [{"kty": "oct", "k": base64url(b"k" * 64)}]},
    "a small RSA key": {"keys": [{"kty": "RSA", "e": "AQAB", "n": base64url(b"\xc1" * 128)}]},
}  # fmt: skip


@pytest.mark.parametrize("name", _NOT_KEYS)
def test_what_is_no_set_of_keys(name: str) -> None:
    """It is refused as a whole, or holds nothing to verify with; the reason quotes none of it."""
    given = _NOT_KEYS[name]
    with pytest.raises(NoKeys) as refused:
        read_key_set(given if isinstance(given, bytes) else json.dumps(given).encode(), secrets_allowed=False)
    assert GATEWAY.public("ES256")["x"] not in str(refused.value)


def test_a_bad_entry_does_not_spoil_the_others() -> None:
    """Sets hold keys for other uses; of two with one id the first counts."""
    entries = [_entry(use="enc"), {"kty": "XYZ"}, _entry(), {**Gateway(("ES256",)).public("ES256")}]
    (key,) = read_key_set(json.dumps({"keys": entries}).encode(), secrets_allowed=False).keys
    assert key.public.public_numbers() == GATEWAY.keys["ES256"].public_key().public_numbers()


def test_a_secret_is_taken_of_a_file_and_if_it_is_long() -> None:
    """HS256 with a guessable secret is no signature."""
    long, short = ({"keys": [{"kty": "oct", "k": base64url(b"k" * size)}]} for size in (32, 31))
    assert read_key_set(json.dumps(long).encode(), secrets_allowed=True).find(None, "HS256") is not None
    with pytest.raises(NoKeys, match="less than 32 bytes"):
        read_key_set(json.dumps(short).encode(), secrets_allowed=True)


def test_a_file_is_read_anew_when_it_changes(reading: Reading, tmp_path: Path) -> None:
    """The next look has the new keys, and not the old; without the file the last ones stay."""
    gateway = Gateway(("ES256",))
    file = tmp_path / "keys.json"
    keys = reading(file)
    assert keys.find("es256-1", "ES256") is None
    gateway.publish(file)
    until(lambda: keys.find("es256-1", "ES256"))
    before = keys.generation
    gateway.rotate()
    gateway.publish(file)
    until(lambda: keys.find("es256-2", "ES256"))
    assert keys.find("es256-1", "ES256") is None
    assert keys.generation > before
    file.unlink()
    until(lambda: keys.problem)
    assert keys.find("es256-2", "ES256") is not None


def _broken(**changes: Any) -> Callable[[KeyServer], None]:
    def change(server: KeyServer) -> None:
        for name, value in changes.items():
            setattr(server, name, value)

    return change


_BROKEN: dict[str, tuple[Callable[[KeyServer], None], str]] = {
    "empty": (_broken(body=lambda: b""), "not JSON"),
    "no keys": (_broken(body=lambda: b'{"keys": []}'), "no key to verify with"),
    "not JSON": (_broken(body=lambda: b"<html>"), "not JSON"),
    "huge": (_broken(body=lambda: GOOD + b" " * key_source.MAX_BYTES), "larger than"),
    "huge when unpacked": (
        _broken(body=lambda: BOMB, headers={"Content-Encoding": "gzip"}), "larger"),
    "a page": (_broken(content_type="text/html; charset=utf-8"), "Content-Type"),
    "no type": (_broken(content_type=""), "Content-Type"),
    "503": (_broken(status=503), "answers 503"),
    "elsewhere": (_broken(status=302, headers={"Location": "/other"}), "answers 302"),
    "slow to answer": (_broken(pause=3), "no answer"),
    "dripping": (_broken(pause=0.05, drips=True), "within"),
}  # fmt: skip


@pytest.mark.parametrize("name", _BROKEN)
def test_the_last_good_keys_stay_in_use(
    reading: Reading, name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever becomes of the server: one line says so, one that it is over, and no request waits."""
    monkeypatch.setattr(key_source, "TIMEOUT", 1)
    spoil, reason = _BROKEN[name]
    with serving_keys(lambda: GOOD) as server, caplog.at_level(logging.WARNING):
        keys = reading(server.url, Pace(url=0.05, retry=0.05, unknown=0.05))
        assert keys.find("es256-1", "ES256") is not None
        spoil(server)
        until(lambda: keys.problem)
        assert reason in keys.problem
        for _ in range(20):
            began = time.perf_counter()
            assert keys.find("es256-1", "ES256") is not None
            assert keys.find("unknown", "ES256") is None
            assert time.perf_counter() - began < 0.5
        until(lambda: len(server.asked) > 3)
        told = [record.getMessage() for record in caplog.records if server.url in record.getMessage()]
        assert len(told) == 1
        assert "stay in use" in told[0]
        good = {"status": 200, "content_type": "application/json", "headers": {}, "pause": 0, "drips": False}
        _broken(body=lambda: GOOD, **good)(server)
        until(lambda: not keys.problem)


def test_without_any_keys_a_request_waits_a_little_and_once(reading: Reading) -> None:
    """A slow server of keys holds the first requests back, for no longer than that."""
    with serving_keys(lambda: GOOD, pause=2) as server:
        keys = reading(server.url, Pace(first=0.2))
        began = time.monotonic()
        assert keys.find("es256-1", "ES256") is None
        assert 0.15 < time.monotonic() - began < 1
    with serving_keys(lambda: b"") as server:
        keys = reading(server.url, Pace(first=5))
        began = time.monotonic()
        assert [keys.find("es256-1", "ES256") for _ in range(3)] == [None] * 3
        assert time.monotonic() - began < 2


def test_unknown_ids_have_the_keys_renewed_at_most_so_often(reading: Reading) -> None:
    """A rotation is seen at once, and a flood of made-up ids asks no more often than one."""
    gateway = Gateway(("ES256",))
    with serving_keys(keys_of(gateway)) as server:
        keys = reading(server.url, Pace(url=600, unknown=0.3))
        assert keys.find("es256-1", "ES256") is not None
        gateway.rotate()
        began = time.monotonic()
        until(lambda: keys.find("es256-2", "ES256"))
        for number in range(3000):
            assert keys.find(f"made-up-{number}", "ES256") is None
        assert len(server.asked) <= 2 + (time.monotonic() - began) / 0.3


def test_keys_that_have_a_url_each(reading: Reading) -> None:
    """An id is asked for once; one that could lead elsewhere never is; one that is gone is not used."""
    with serving_keys(lambda: b"", paths={"/one": GATEWAY.pem()}, content_type="binary/octet-stream") as server:
        keys = reading(server.url.replace("/keys", "/<kid>"), PACE)
        assert keys.find("one", "ES256") is not None
        for kid in ("../one", "a/b", "..", ".", "one?x=1", "one%2f..", "http://evil.example/", "", "k" * 200, None):
            assert keys.find(kid, "RS256") is None
        server.paths["/two"] = GATEWAY.pem("RS256")
        until(lambda: keys.find("two", "RS256"))
        assert set(server.asked) == {"/one", "/two"}
        del server.paths["/one"]
        until(lambda: keys.find("one", "ES256") is None)
        assert keys.find("two", "RS256") is not None


@pytest.mark.slow
def test_a_flood_of_made_up_ids_does_not_keep_a_new_key_out(reading: Reading) -> None:
    """Of keys with a URL each, a few are asked for at a time; a made-up one once, and what there is is renewed."""
    paths = {"/one": GATEWAY.pem()}
    with serving_keys(lambda: b"", paths=paths, content_type="binary/octet-stream") as server:
        keys = reading(server.url.replace("/keys", "/<kid>"), Pace(one=0.5, retry=0.05, unknown=1, first=1))
        assert keys.find("one", "ES256") is not None
        server.paths["/two"] = GATEWAY.pem("RS256")
        began, numbers = time.monotonic(), itertools.count()
        while keys.find("two", "RS256") is None:
            for number in itertools.islice(numbers, 200):
                assert keys.find(f"made-up-{number}", "ES256") is None
            assert keys.find("made-up", "ES256") is None
            assert time.monotonic() - began < 60
            time.sleep(0.01)
        del server.paths["/one"]
        while keys.find("one", "ES256") is not None:
            for number in itertools.islice(numbers, 200):
                keys.find(f"made-up-{number}", "ES256")
            assert time.monotonic() - began < 60
            time.sleep(0.01)
        took = time.monotonic() - began
        assert len(server.asked) < 20 + 8 * took / 0.1
        assert server.asked.count("/made-up") <= 1 + took
        assert not keys.problem or "404" in keys.problem


def test_what_cannot_be_asked_for_waits_for_nothing(reading: Reading) -> None:
    """Where each key has a URL, an assertion without an id is for none, however many there are."""
    with serving_keys(lambda: b"", paths={"/one": GATEWAY.pem()}, content_type="text/plain") as server:
        keys = reading(server.url.replace("/keys", "/<kid>"), Pace(first=5))
        began = time.monotonic()
        assert [keys.find(kid, "ES256") for kid in (None, "../one", "")] == [None] * 3
        assert time.monotonic() - began < 1
        assert server.asked == []
        assert keys.find("one", "ES256") is not None
        assert keys.find(None, "ES256") is None


def test_a_forked_process_renews_for_itself(reading: Reading, tmp_path: Path) -> None:
    """The thread is not in the child; the keys are, and are renewed there too."""
    gateway = Gateway(("ES256",))
    file = gateway.publish(tmp_path / "keys.json")
    keys = reading(file)
    assert keys.find("es256-1", "ES256") is not None
    child = os.fork()
    if child == 0:
        code = 1
        try:
            assert keys.find("es256-1", "ES256") is not None
            gateway.rotate()
            gateway.publish(file)
            until(lambda: keys.find("es256-2", "ES256"))
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
