"""Qubole's client, ids and addresses, against the stand-in."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from airflow_service.external_commands import platform as contract
from airflow_service.external_commands.platform import State
from airflow_service.platforms.qubole import PLATFORM
from harness.platforms import StandIn, serving
from hypothesis import given
from hypothesis import strategies as st

from stand_in import Fault


def account(host: str | None, password: str | None = "first") -> SimpleNamespace:
    """What a connection tells of an account."""
    return SimpleNamespace(host=host, password=password)


@pytest.fixture
def platform() -> Iterator[StandIn]:
    with serving({"first": "one", "second": "two"}) as running:
        yield running


def client(platform: StandIn, password: str = "first", read_timeout: float = 5) -> Any:
    return PLATFORM.client(account(f"{platform.url}/api", password), 2, read_timeout)


@pytest.mark.parametrize(
    ("host", "page"),
    [
        (None, "https://api.qubole.com/v2/analyze?command_id=7"),
        ("", "https://api.qubole.com/v2/analyze?command_id=7"),
        ("https://api.qubole.com/api", "https://api.qubole.com/v2/analyze?command_id=7"),
        ("https://us.qubole.com/api/", "https://us.qubole.com/v2/analyze?command_id=7"),
        ("https://us.qubole.com", "https://us.qubole.com/v2/analyze?command_id=7"),
        ("https://us.qubole.com//api//", "https://us.qubole.com/v2/analyze?command_id=7"),
        ("api.qubole.com/api", "https://api.qubole.com/v2/analyze?command_id=7"),
        (" https://api.qubole.com/api ", "https://api.qubole.com/v2/analyze?command_id=7"),
        ("http://qds.internal:8443/q d/api", "http://qds.internal:8443/q%20d/v2/analyze?command_id=7"),
        ("https://qds.internal/apiary", "https://qds.internal/apiary/v2/analyze?command_id=7"),
        ("https://qds.internal/../api", "https://qds.internal/v2/analyze?command_id=7"),
        ("https://me:secret@qds.internal/api?a=b#c", "https://qds.internal/v2/analyze?command_id=7"),
        ("https://[::1]:8443/api", "https://[::1]:8443/v2/analyze?command_id=7"),
        ("https://bücher.example/api", "https://xn--bcher-kva.example/v2/analyze?command_id=7"),
        ('https://qds.internal/"><script>/api', "https://qds.internal/%22%3E%3Cscript%3E/v2/analyze?command_id=7"),
    ],
)  # fmt: skip
def test_page(host: str | None, page: str) -> None:
    """The page is beside the API, with whatever the host is written like."""
    assert PLATFORM.page_url(account(host), 7) == page


@pytest.mark.parametrize(
    "host",
    [
        "javascript:alert(1)//api", "javascript://x/api", "ftp://qds.internal/api", "https://", "https:///api",
        "https://a b/api", "https://qds.internal:port/api", "https://qds\\.evil/api", "https://[::1/api", "-",
        "data://text/html,x", "https://evil<x>/api",
    ],
)  # fmt: skip
def test_no_page_for_what_is_no_host(host: str) -> None:
    """A host that leads nowhere, or would run in the browser, gives no address, and no client."""
    with pytest.raises(ValueError, match="the connection's host"):
        PLATFORM.page_url(account(host), 7)
    with pytest.raises(ValueError, match="the connection's host"):
        PLATFORM.client(account(host), 1, 1)


@given(st.text(max_size=40))
def test_page_of_any_text(host: str) -> None:
    """Whatever the host is, the page is one of http or https, in ASCII, with nothing to quote, or there is none."""
    try:
        page = PLATFORM.page_url(account(host), 1)
    except ValueError:
        return
    parts = urlsplit(page)
    assert parts.scheme in ("http", "https")
    assert parts.hostname
    assert parts.username is None
    assert (parts.path.endswith("/v2/analyze"), parts.query, parts.fragment) == (True, "command_id=1", "")
    assert page.isascii()
    assert not set(page) & set(' \r\n\t"<>\\^`{|}')


@pytest.mark.parametrize("value", [1, 4_300_000_001, 2**63 - 1])
def test_ids(value: int) -> None:
    assert PLATFORM.parse_id(value) == value


@pytest.mark.parametrize(
    "value",
    [
        0,
        -1,
        2**63,
        10**40,
        True,
        1.0,
        1e30,
        "1",
        "1;DROP",
        "http://evil",
        "<b>1</b>",
        [1],
        {"id": 1},
        None,
        b"1",
    ],
)
def test_no_ids(value: object) -> None:
    """Nothing but a positive number of the platform's size is an id."""
    with pytest.raises(ValueError, match="the command's id"):
        PLATFORM.parse_id(value)


def test_states(platform: StandIn) -> None:
    """Waiting and running are unfinished; the three ends are told apart."""
    asking = client(platform)
    seen = {}
    for status in ("waiting", "running", "queued", "done", "error", "cancelled"):
        command = platform.commands.create("one", {})
        platform.commands.tell(command.id, status)
        seen[status] = asking.state(command.id)
    unfinished = dict.fromkeys(("waiting", "running", "queued"), State.UNFINISHED)
    ends = {"done": State.SUCCEEDED, "error": State.FAILED, "cancelled": State.CANCELLED}
    assert seen == unfinished | ends


def test_cancel(platform: StandIn) -> None:
    """A cancel is one request; a second one, after the end, is no error."""
    command = platform.commands.create("one", {})
    platform.commands.plan(command.id, seconds=None)
    asking = client(platform)
    asking.cancel(command.id)
    assert asking.state(command.id) is State.CANCELLED
    asking.cancel(command.id)
    assert command.cancels == 2
    assert [request.method for request in platform.requests.all()] == ["PUT", "GET", "PUT"]


def test_two_accounts(platform: StandIn) -> None:
    """Two clients in one process ask for their own account's commands."""
    own, other = (platform.commands.create(name, {}) for name in ("one", "two"))
    first, second = client(platform, "first"), client(platform, "second")
    for asking, mine, foreign in ((first, own, other), (second, other, own), (first, own, other)):
        asking.state(mine.id)
        with pytest.raises(contract.NotFound):
            asking.state(foreign.id)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(status=401), contract.Refused),
        (Fault(status=403), contract.Refused),
        (Fault(status=404), contract.NotFound),
        (Fault(status=400), contract.BadReply),
        (Fault(status=429), contract.Unreachable),
        (Fault(status=500), contract.Unreachable),
        (Fault(status=503), contract.Unreachable),
        (Fault("html"), contract.BadReply),
        (Fault("truncated"), contract.BadReply),
        (Fault("undecodable"), contract.BadReply),
        (Fault("broken"), contract.Unreachable),
        (Fault("stalled", delay=1), contract.Unreachable),
        (Fault("nothing"), contract.Unreachable),
        (Fault("slow", delay=60), contract.Unreachable),
    ],
    ids=str,
)
def test_faults(platform: StandIn, fault: Fault, error: type[Exception]) -> None:
    """Each wrong answer is what it is, without a second request, and names no token."""
    command = platform.commands.create("one", {})
    platform.faults.add(fault)
    with pytest.raises(error) as raised:
        client(platform, read_timeout=0.5).state(command.id)
    assert str(command.id) in str(raised.value)
    assert "first" not in str(raised.value)
    assert len(platform.requests.all()) == 1


def test_redirects_do_not_get_the_token(platform: StandIn) -> None:
    """An answer that leads elsewhere is none, and nobody else is asked."""
    with serving({"first": "one"}) as elsewhere:
        platform.faults.add(Fault("redirect", location=f"{elsewhere.url}/api/v1.2/commands/1"))
        with pytest.raises(contract.BadReply):
            client(platform).state(1)
        assert elsewhere.requests.all() == []


@contextmanager
def dripping() -> Iterator[int]:
    """A server that begins to answer, and goes on byte by byte for ever; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        over = threading.Event()

        def drip() -> None:
            taken, _ = listening.accept()
            with taken:
                taken.recv(1 << 16)
                taken.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
                while not over.wait(0.05):
                    taken.sendall(b" ")

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            over.set()
            thread.join()


def test_an_answer_that_drips() -> None:
    """The time for reading is for the whole answer, not for each of its bytes."""
    began = time.monotonic()
    with dripping() as port, pytest.raises(contract.Unreachable):
        PLATFORM.client(account(f"http://127.0.0.1:{port}/api"), 1, 0.5).state(1)
    assert time.monotonic() - began < 3


def test_nobody_there() -> None:
    """A refused connection is told at once."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(contract.Unreachable):
        PLATFORM.client(account(f"http://127.0.0.1:{port}/api"), 1, 1).state(1)
