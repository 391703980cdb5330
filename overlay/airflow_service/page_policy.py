"""The Content-Security-Policy of the pages: exactly what they need."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_service.options import ServiceSettings


@dataclass(frozen=True, slots=True)
class PagePolicy:
    """The Content-Security-Policy of every page, but for its nonce."""

    mode: str
    """`enforce`, `report-only` or `off`."""
    assets: str = ""
    """Where the CDN's assets are, as a source of the policy; "" without a CDN."""
    framed: bool = True
    """Whether another page may show this one in a frame."""

    @property
    def header(self) -> str:
        """The header's name."""
        return "Content-Security-Policy" + ("-Report-Only" if self.mode == "report-only" else "")

    def text(self, nonce: str | None) -> str:
        """The header's value for a page whose templates used `nonce`."""
        own = f"'self' {self.assets}".rstrip()
        blessed = f"{own} 'nonce-{nonce}'" if nonce else own
        directives = [
            "default-src 'none'",
            f"script-src {blessed}",
            # Airflow's templates and d3 place and colour things by style="…".
            f"style-src-elem {blessed}",
            "style-src-attr 'unsafe-inline'",
            f"style-src {own} 'unsafe-inline'",  # for browsers without the two above
            f"img-src {own} data:",
            f"font-src {own}",
            "connect-src 'self'",
            # Another origin's worker is started from a script that the page makes (Ace).
            "worker-src 'self' blob:" if self.assets else "worker-src 'self'",
            "base-uri 'none'",
            "form-action 'self'",
        ]
        if not self.framed:
            directives.append("frame-ancestors 'none'")
        return "; ".join(directives)


def policy_of(settings: ServiceSettings, *, framed: bool) -> PagePolicy:
    """The policy that the `[service]` section asks for."""
    # These two end a source and a policy; in a path they may be written so.
    base = settings.cdn_url.replace(";", "%3B").replace(",", "%2C")
    return PagePolicy(settings.content_security_policy, f"{base}/a/" if base else "", framed)
