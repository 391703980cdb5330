"""Tests of builder.publish and verify: a store and a CDN that speak TLS, with certificates of a private authority."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness.certificates import private_authority
from harness.nginx import nginx
from harness.processes import free_port
from harness.servers import program
from publishing import Site

_SERVER = """
server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    client_max_body_size 0;
    location / {{ proxy_pass {store}; proxy_set_header Host $http_host; }}
    location /cdn/ {{
        proxy_pass {store}/{place}/;
        proxy_hide_header Access-Control-Allow-Origin;
        add_header Access-Control-Allow-Origin * always;
    }}
}}
"""


@contextmanager
def in_tls(site: Site, folder: Path, host: str = "127.0.0.1") -> Iterator[tuple[str, Path]]:
    """The store behind TLS: its URL, and the authority's certificate."""
    program("nginx")
    folder.mkdir()
    certificate, key, authority = private_authority(folder, host)
    port, place = free_port(), site.place.removeprefix("s3://")
    server = _SERVER.format(port=port, certificate=certificate, key=key, store=site.server.url, place=place)
    (folder / "servers.conf").write_text(server)
    with nginx(folder, folder / "servers.conf", port):
        yield f"https://127.0.0.1:{port}", authority


def test_a_private_authority(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS_CA_BUNDLE has it trusted, as with the AWS tools; without, nothing is sent, and the message says so."""
    with in_tls(site, tmp_path / "nginx") as (url, authority):
        refused = site.checkout.run("publish", site.place, "--endpoint-url", url)
        assert refused.code == 34
        assert f"the certificate of {url} is not to be trusted" in refused.err
        assert "UnknownIssuer" in refused.err
        assert "AWS_CA_BUNDLE" in refused.err
        assert site.server.objects(site.bucket) == {}
        monkeypatch.setenv("AWS_CA_BUNDLE", str(authority))
        published = site.checkout.run("publish", site.place, "--endpoint-url", url)
        assert published.code == 0, published.err
        assert site.complete()
        # A CDN's is trusted as browsers do it, by the system: OpenSSL's variable adds to that.
        unknown = site.checkout.run("verify", f"{url}/cdn", "--allow-uncompressed")
        assert unknown.code == 34
        assert "certificate" in unknown.err
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        verified = site.checkout.run("verify", f"{url}/cdn", "--allow-uncompressed")
        assert verified.code == 0, verified.err


def test_a_certificate_of_another_host(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with in_tls(site, tmp_path / "nginx", "127.0.0.2") as (url, authority):
        monkeypatch.setenv("AWS_CA_BUNDLE", str(authority))
        refused = site.checkout.run("publish", site.place, "--endpoint-url", url)
    assert refused.code == 34
    assert "NotValidForName" in refused.err
    assert site.server.objects(site.bucket) == {}


@pytest.mark.parametrize(("content", "words"), [(None, "No such file"), ("junk", "no certificate in PEM")])
def test_certificates_that_cannot_be_read(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, words: str
) -> None:
    """Of the profile's `ca_bundle`, too."""
    bundle, config = tmp_path / "bundle.pem", tmp_path / "config"
    if content is not None:
        bundle.write_text(content)
    config.write_text(f"[default]\nca_bundle = {bundle}\n")
    for name, value in (("AWS_CA_BUNDLE", bundle), ("AWS_CONFIG_FILE", config)):
        with monkeypatch.context() as patched:
            patched.setenv(name, str(value))
            refused = site.publish()
        assert refused.code == 22
        assert str(bundle) in refused.err
        assert words in refused.err
