"""A CDN for tests: nginx in front of the S3 server, on a port, and so an origin, of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from builder.cdn_bundle import read_dist
from builder.publish import publish
from builder.release import Release
from builder.store import Place, Store
from harness.nginx import nginx
from harness.processes import Running, free_port
from harness.s3 import S3Server
from harness.servers import program

# As docs/cdn.md asks of a CDN: everybody's scripts may use it, and it compresses what is not yet.
_HEADERS = """
        add_header Access-Control-Allow-Origin * always;
        add_header Timing-Allow-Origin * always;"""
_COMPRESSING = """
        gzip on;
        gzip_proxied any;
        gzip_vary on;
        gzip_min_length 256;
        gzip_types text/css text/javascript application/json image/svg+xml;"""
# For the `http` context.
_CONFIGURATION = """
map $http_accept_encoding $variant {{
    default "";
    ~*\\bbr\\b .br;
    ~*\\bgzip\\b .gz;
}}
upstream store {{ server {store}; keepalive 16; }}
server {{
    listen 127.0.0.1:{port};
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host {store};
    proxy_set_header Accept-Encoding "";
    # The store must not see whose page asks: its answer would be kept for all the others.
    proxy_set_header Origin "";
    proxy_hide_header Access-Control-Allow-Origin;
    location /a/ {{{headers}{encoding}
    }}
    location @plain {{{headers}
        add_header Vary Accept-Encoding;
        proxy_pass http://store/{place}$uri;
    }}
    location /manifests/ {{{headers}
        # As it came: the store would read a bare + as a space.
        proxy_pass http://store/{place}$request_uri;
    }}
}}
"""
_ON_THE_FLY = """
        proxy_pass http://store/{place}$uri;"""
_STORED_VARIANTS = """
        add_header Vary Accept-Encoding;
        proxy_intercept_errors on;
        error_page 403 404 = @plain;
        proxy_pass http://store/{place}$uri$variant;"""


@dataclass(frozen=True, slots=True)
class CdnOrigin:
    """A running CDN. `url` is what `[service] cdn_url` is set to."""

    url: str
    process: Running
    access_log: Path

    def asked(self) -> list[str]:
        """The lines of the access log so far."""
        return self.access_log.read_text().splitlines()


@contextmanager
def cdn(
    server: S3Server, bucket: str, prefix: str = "assets", *, variants: bool = False, cors: bool = True
) -> Iterator[CdnOrigin]:
    """Serve what is, or will be, published in a bucket.

    With `variants` the stored .br and .gz objects are chosen by Accept-Encoding,
    otherwise plain ones are compressed on the way.
    """
    program("nginx")
    port = free_port()
    place = f"{bucket}/{prefix}" if prefix else bucket
    encoding = _STORED_VARIANTS if variants else _COMPRESSING + _ON_THE_FLY
    with tempfile.TemporaryDirectory(prefix="test-cdn-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        included = folder / "cdn.conf"
        included.write_text(_CONFIGURATION.format(
            port=port, place=place, store=server.url.removeprefix("http://"),
            headers=_HEADERS if cors else "", encoding=encoding.format(place=place),
        ))  # fmt: skip
        with nginx(folder, included, port) as process:
            yield CdnOrigin(f"http://127.0.0.1:{port}", process, folder / "access.log")


def publish_dist(server: S3Server, dist: Path, version: str, bucket: str, prefix: str = "assets") -> None:
    """Publish the bundle of dist/ as `./build.py publish` does."""
    store = Store(Place(bucket, prefix), server.identity(), server.url, 30)
    publish(read_dist(dist, version), store)


@contextmanager
def published_cdn(
    server: S3Server, dist: Path, release: Release, *, variants: bool = False
) -> Iterator[CdnOrigin]:
    """The built bundle, published into a bucket of its own and served with CORS and compression.

    For browser tests: `dist` and `release` are those of harness.environments.
    """
    bucket = server.bucket()
    publish_dist(server, dist, release.full_version, bucket)
    with cdn(server, bucket, variants=variants) as origin:
        yield origin
