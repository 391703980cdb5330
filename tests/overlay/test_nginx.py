"""The values of an nginx configuration, and the command that renders one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from airflow_service import cli
from airflow_service.nginx.headers import stripped
from airflow_service.nginx.render import render
from airflow_service.nginx.values import WrongValues, parse_values, read_values
from hypothesis import given, settings
from hypothesis import strategies as st


def table(**more: Any) -> dict[str, Any]:
    cluster = {"prefix": "/one", "webserver": ["127.0.0.1:8080"]}
    return {"listen": ["127.0.0.1:80"], "cluster": [cluster], **more}


def clusters(*prefixes: str) -> list[dict[str, Any]]:
    return [{"prefix": prefix, "webserver": ["127.0.0.1:8080"]} for prefix in prefixes]


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({"listen": []}, "listen: it is missing or empty"),
        ({"listen": "127.0.0.1:80"}, "listen: it is no list of texts"),
        ({"listen": ["80"]}, "listen: '80' is not host:port"),
        ({"listen": ["a:0"]}, "listen: 'a:0' is not host:port"),
        ({"listen": ["a:80; }"]}, "listen: 'a:80; }' is not host:port"),
        ({"listen": ["a:1", "a:1"]}, "listen: it has an entry twice"),
        ({"names": ["a b"]}, "names: 'a b' is not a host name, or *. and a host name"),
        ({"names": ["~^.*$"]}, "names: '~^.*$' is not a host name, or *. and a host name"),
        ({"max_body": "10 MB"}, "max_body: '10 MB' is not a number and k or m, as 10m"),
        ({"max_body": 10}, "max_body: 10 is no text"),
        ({"client_timeout_seconds": 0}, "client_timeout_seconds: 0 is no whole number from 1 to 600"),
        ({"client_timeout_seconds": True}, "client_timeout_seconds: True is no whole number from 1 to 600"),
        ({"trusted_proxies": ["10.0.0.1/8"]}, "trusted_proxies: '10.0.0.1/8' is no network, as 10.0.0.0/8"),
        ({"assertion_header": "X_Y"}, "assertion_header: 'X_Y' is not a header's name"),
        ({"trusted_proxies": ["fe80::1%x; return 200 pwned; #"]}, "trusted_proxies: 'fe80::1%x; return"),
        ({"assertion_header": "Host"}, "assertion_header: 'Host' is a header with a meaning of its own"),
        ({"assertion_header": "x-forwarded-Prefix"}, "assertion_header: 'x-forwarded-Prefix' is a header"),
        ({"assertion_header": "X-Y"}, "assertion_header: nobody may set it, for trusted_proxies is empty"),
        ({"strip_headers": ["X-Y;"]}, "strip_headers: 'X-Y;' is not a header's name"),
        ({"tls": {"certificate": "/a b.pem"}}, "tls.certificate: '/a b.pem' is no absolute path without"),
        ({"tls": {"certificate": "/a.pem"}}, "tls.key: it is missing"),
        ({"tls": []}, "tls.it is no table"),
        ({"cluster": []}, "cluster: there is none"),
        ({"cluster": {"prefix": "/a"}}, "cluster: it is no list of tables: write [[cluster]]"),
        ({"cluster": [{"webserver": ["a:1"]}]}, "cluster 1: prefix: it is missing"),
        ({"cluster": [{"prefix": "/a"}]}, "cluster 1: webserver: it is missing or empty"),
        ({"cluster": [{"prefix": "/a", "webserver": ["unix:/x"]}]}, "cluster 1: webserver: 'unix:/x' is not"),
        ({"cluster": clusters("one")}, "cluster 1: prefix: 'one' is no path as /airflow-1"),
        ({"cluster": clusters("/a/../b")}, "cluster 1: prefix: '/a/../b' is no path"),
        ({"cluster": clusters("/a//b")}, "cluster 1: prefix: '/a//b' is no path"),
        ({"cluster": clusters("/a%2fb")}, "cluster 1: prefix: '/a%2fb' is no path"),
        ({"cluster": clusters("/a;b")}, "cluster 1: prefix: '/a;b' is no path"),
        ({"cluster": clusters("/nginx-health")}, "cluster 1: prefix: '/nginx-health' is nginx's own"),
        ({"cluster": clusters("/x", "/x/")}, "cluster 2: another one has the prefix '/x', too"),
        ({"cluster": clusters("/x", "/x/b")}, "cluster 2: '/x/b' and '/x' lie in one another"),
        ({"cluster": clusters("/", "/b")}, "cluster 2: '/b' and '/' lie in one another"),
        *(
            ({"cluster": clusters(own)}, f"cluster 1: prefix: '{own}' can be no path of a base_url: its path overlaps")
            for own in ("/a", "/admin/eu", "/api", "/health", "/static/")
        ),
        (
            {"gateway": {"address": ["a:1"]}, "cluster": [{**clusters("/x")[0], "id": "x", "flower": ["a:2"]}]},
            "cluster 1: flower: it would be open to whoever is logged in",
        ),
        (
            {"gateway": {"address": ["a:1"], "knows_roles": "yes"}},
            "gateway.knows_roles: 'yes' is neither true nor false",
        ),
        ({"server": "x"}, "server: there is no such key"),
        ({"cluster": [{**clusters("/x")[0], "flowers": []}]}, "cluster 1: flowers: there is no such key"),
    ],
)
def test_wrong_values_are_named(wrong: dict[str, Any], fault: str) -> None:
    """With the place, what is wrong, and what is allowed."""
    with pytest.raises(WrongValues) as caught:
        parse_values(table(**wrong), "values.toml")
    assert f"  {fault}" in str(caught.value)


def test_all_faults_at_once() -> None:
    """One look at the file mends all of them."""
    with pytest.raises(WrongValues) as caught:
        parse_values({"listen": ["x"], "cluster": clusters("a", "b c"), "more": 1}, "values.toml")
    assert str(caught.value).splitlines() == [
        "values.toml is not what a configuration can be made from:",
        "  listen: 'x' is not host:port",
        *(f"  cluster {number}: prefix: '{prefix}' is no path as /airflow-1, of the characters A-Z a-z 0-9"
          " . _ ~ - and /" for number, prefix in ((1, "a"), (2, "b c"))),
        "  more: there is no such key",
    ]  # fmt: skip


def test_look_alikes_are_two_clusters() -> None:
    """A prefix that begins as another does lies in none."""
    values = parse_values(table(cluster=clusters("/airflow-1", "/airflow-19289/", "/x/y")), "t")
    assert [cluster.prefix for cluster in values.clusters] == ["/airflow-1", "/airflow-19289", "/x/y"]


@given(st.text(max_size=20))
@settings(deadline=None)  # a template is compiled for each
def test_no_prefix_breaks_out_of_its_place(text: str) -> None:
    """Whatever is accepted is a plain path, and stands in the configuration as it is."""
    try:
        values = parse_values(table(cluster=clusters(text)), "t")
    except WrongValues:
        return
    [cluster] = values.clusters
    assert re.fullmatch(r"(/[\w.~-]+)*", cluster.prefix, re.ASCII)
    assert f"{cluster.prefix}/ {{" in render(values)


def test_own_headers_are_not_stripped() -> None:
    """What the configuration sets is not taken away again; what is asked for is, once."""
    names = stripped("X-Gate", ["X-Mine", "forwarded", "X-Gate", "Host"])
    assert "X-Mine" in names
    assert "Host" not in names
    assert "X-Gate" not in names
    assert [name.lower() for name in names].count("forwarded") == 1


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """To standard output, or to a file that is replaced as a whole and that nginx can read."""
    values, output = tmp_path / "values.toml", tmp_path / "airflow.conf"
    values.write_text('listen = ["127.0.0.1:80"]\n[[cluster]]\nprefix = "/x"\nwebserver = ["127.0.0.1:1"]\n')
    assert cli.main(["render", "nginx", "--values", str(values)]) == 0
    text = capsys.readouterr().out
    assert text == render(read_values(values))
    assert cli.main(["render", "nginx", "--values", str(values), "--output", str(output)]) == 0
    assert output.read_text() == text
    assert output.stat().st_mode & 0o777 == 0o644
    assert sorted(path.name for path in tmp_path.iterdir()) == ["airflow.conf", "values.toml"]


def test_the_command_with_wrong_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 78, and the file that is there stays as it is."""
    output = tmp_path / "airflow.conf"
    output.write_text("before")
    (tmp_path / "values.toml").write_text("listen = [")
    for values in ("values.toml", "none.toml"):
        argv = ["render", "nginx", "--values", str(tmp_path / values), "--output", str(output)]
        assert cli.main(argv) == 78
        assert f"{tmp_path / values} cannot be read" in capsys.readouterr().err
    assert output.read_text() == "before"
