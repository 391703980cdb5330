"""Databricks' client and pages, against the stand-in, by https."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow_service.external_commands import platform as contract
from airflow_service.external_commands.platform import State
from airflow_service.platforms import databricks
from airflow_service.platforms.databricks import PLATFORM
from harness.certificates import loopback_certificate
from harness.platforms import StandIn, serving

from stand_in import Fault


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    context, file = loopback_certificate(tmp_path_factory.mktemp("certificate"))
    with pytest.MonkeyPatch.context() as patch, serving({"first": "one", "second": "two"}, https=context) as running:
        patch.setenv("REQUESTS_CA_BUNDLE", str(file))
        yield running


@pytest.fixture
def platform(trusted: StandIn) -> StandIn:
    trusted.clear()
    return trusted


def by_token(host: str, token: str = "first") -> Any:
    return SimpleNamespace(host=None, login=None, password=None, extra_dejson={"token": token, "host": host})


def client(connection: Any, read_timeout: float = 5) -> Any:
    return PLATFORM.client(connection, 2, read_timeout)


def test_states_and_cancel(platform: StandIn) -> None:
    """What a run has come to, with a token or a password, with and without scheme; a cancel is one request."""
    run = platform.commands.create("one", {})
    platform.commands.plan(run.id, seconds=None)
    host = platform.url.removeprefix("https://")
    by_password = SimpleNamespace(host=platform.url, login="token", password="first", extra_dejson={})
    for connection in (by_token(platform.url), by_token(host), by_token(f"{platform.url}/"), by_password):
        assert client(connection).state(run.id) is State.UNFINISHED
    ends = {"done": State.SUCCEEDED, "error": State.FAILED, "cancelled": State.CANCELLED}
    for status, state in ({"waiting": State.UNFINISHED} | ends).items():
        platform.commands.tell(run.id, status)
        assert client(by_token(host)).state(run.id) is state
    client(by_token(host)).cancel(run.id)
    assert run.cancels == 1


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(status=403), contract.Refused),
        (Fault(status=429), contract.Unreachable),
        (Fault(status=500), contract.Unreachable),
        (Fault("html"), contract.BadReply),
        (Fault("truncated"), contract.BadReply),
        (Fault("undecodable"), contract.BadReply),
        (Fault("broken"), contract.Unreachable),
        (Fault("stalled", delay=1), contract.Unreachable),
        (Fault("slow", delay=60), contract.Unreachable),
    ],
    ids=str,
)
def test_faults(
    platform: StandIn, fault: Fault, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each wrong answer is what it is, for the state and for the page."""
    run = platform.commands.create("one", {})
    platform.faults.add(fault)
    monkeypatch.setattr(databricks, "_PAGE_TIMEOUT", 0.5)
    with pytest.raises(error):
        client(by_token(platform.url), 0.5).state(run.id)
    with pytest.raises(error):
        PLATFORM.page_url(by_token(platform.url), run.id)


def test_another_accounts_run(platform: StandIn) -> None:
    """A run that the account does not have is not found; Databricks says so by 400."""
    run = platform.commands.create("one", {})
    with pytest.raises(contract.NotFound):
        client(by_token(platform.url, "second")).state(run.id)
    with pytest.raises(contract.Refused):
        client(by_token(platform.url, "wrong")).state(run.id)


def test_netrc_does_not_replace_the_token(
    platform: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user's ~/.netrc is not the connection's: its token is what is sent."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    run = platform.commands.create("one", {})
    platform.commands.tell(run.id, "done")
    assert client(by_token(platform.url)).state(run.id) is State.SUCCEEDED


def test_page(platform: StandIn) -> None:
    """The page is the one that the API names, if it is the workspace's own."""
    run = platform.commands.create("one", {"job_id": 3})
    assert PLATFORM.page_url(by_token(platform.url), run.id) == f"{platform.url}/?o=1#job/3/run/1"


@pytest.mark.parametrize(
    "page",
    ["https://evil.example/", "{url}.evil.example/", "{url}@evil.example/", "//evil", "{url}/\n", "{url}/\u2028", 7],
)
def test_no_page_of_another_host(platform: StandIn, page: object) -> None:
    """An API that names a page elsewhere, or none, leads nowhere."""
    given = page.format(url=platform.url) if isinstance(page, str) else page
    run = platform.commands.create("one", {"run_page_url": given})
    with pytest.raises((ValueError, contract.BadReply), match=str(run.id)):
        PLATFORM.page_url(by_token(platform.url), run.id)


@pytest.mark.parametrize("extra", [{"token": "t"}, {"token": "t", "host": ""}, {"token": "t", "host": 5}, {}])
def test_no_host(extra: dict[str, Any]) -> None:
    """A connection without a host is told as such."""
    connection = SimpleNamespace(host=None, login="l", password="p", extra_dejson=extra)
    with pytest.raises(ValueError, match="no host"):
        client(connection)


def test_no_plain_http() -> None:
    """A token is never sent in the clear."""
    with pytest.raises(ValueError, match="https"):
        client(by_token("http://127.0.0.1:1"))


def test_connection_of_a_task() -> None:
    """The connection is the operator's own."""
    assert PLATFORM.connection_id(SimpleNamespace(databricks_conn_id="mine")) == "mine"
    with pytest.raises(LookupError):
        PLATFORM.connection_id(SimpleNamespace())
