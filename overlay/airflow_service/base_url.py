"""Where browsers find the webserver: what `[webserver] base_url` says."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_service import validators

_DEFAULT_PORTS = {"http": 80, "https": 443}

# Below these lie the webserver's own pages. Where the prefix overlaps one, a path does not
# tell whether the proxy has stripped the prefix from it.
OWN_PATHS = ("/a", "/admin", "/api/experimental", "/health", "/own-static", "/static")


@dataclass(frozen=True, slots=True)
class BaseUrl:
    """The webserver's own URL, in the one spelling that browsers use for it."""

    scheme: str
    """`http` or `https`."""
    host: str
    """In lower case; with the port if it is not the scheme's own."""
    prefix: str
    """The path, without a slash at its end; empty for none."""

    @classmethod
    def parse(cls, text: str) -> BaseUrl:
        """ValueError says what is wrong with the text."""
        url = validators.base_url(text)
        host, port = url.netloc.lower(), url.port
        if port is not None:
            name = host.rpartition(":")[0]
            host = name if port == _DEFAULT_PORTS[url.scheme] else f"{name}:{port}"
        check_prefix(url.path)
        return cls(url.scheme, host, url.path)

    @property
    def origin(self) -> str:
        """Scheme and host, as in `https://airflow.example.com:8443`."""
        return f"{self.scheme}://{self.host}"

    def __str__(self) -> str:
        return self.origin + self.prefix


def check_prefix(path: str) -> None:
    """Raise ValueError if a path without a slash at its end is one that the webserver has itself."""
    for own in OWN_PATHS:
        if _is_below(path, own) or (path and _is_below(own, path)):
            raise ValueError(f"its path overlaps {own}, where the webserver's own pages are")


def _is_below(path: str, parent: str) -> bool:
    return path == parent or path.startswith(parent + "/")
