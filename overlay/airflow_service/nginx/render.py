"""Render nginx's configuration."""

from __future__ import annotations

import tempfile
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from airflow_service.nginx.headers import stripped
from airflow_service.nginx.values import Values, WrongValues

_CIPHERS = ":".join(
    f"ECDHE-{key}-{cipher}"
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
    for key in ("ECDSA", "RSA")
)
# So many cookies of the gateway are taken out of a request; if there are more, all are.
_COOKIE_PASSES = 4


def render(values: Values) -> str:
    """A file for nginx's `http` context, such as one in `/etc/nginx/conf.d`."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # values hold nothing that nginx reads as syntax
    )
    return environment.get_template("airflow.conf.jinja").render(
        values=values,
        stripped=stripped(values.assertion_header, values.strip_headers),
        ciphers=_CIPHERS,
        secure=" ssl" if values.tls else "",
        cookie_passes=range(1, _COOKIE_PASSES + 1),
    )


def write(path: Path, text: str) -> None:
    """Put a file in place at once, for everyone to read: nginx may be reloaded at any time."""
    try:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as file:
            file.write(text)
        Path(file.name).chmod(0o644)
        Path(file.name).replace(path)
    except OSError as error:
        raise WrongValues(f"{path} cannot be written: {error}") from error
