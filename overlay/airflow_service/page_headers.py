"""What a browser may do with a page: the Content-Security-Policy and its neighbours.

A nonce, new for each answer, stands in the policy and in every `<script>` and
`<style>` that a template's author wrote. Markup that gets into a page by another
way (a DAG's description, a log, a query's result) has none, and stays dead.
"""

from __future__ import annotations

import secrets

from flask import Flask, Response, g, has_app_context

from airflow_service.config import read_service_section
from airflow_service.inline_handlers import ServiceHandlers, carries_nonce
from airflow_service.page_policy import PagePolicy, policy_of
from airflow_service.template_tags import Additions, StartTag, add_rewriter

NONCE = "csp_nonce"
"""The name by which templates call `nonce`."""
# What a browser reads as markup, and runs scripts of.
_PAGES = frozenset({"text/html", "application/xhtml+xml"})


def protect_pages(app: Flask, *, framed: bool) -> None:
    """Have each answer of `app` carry the headers, and each template's tags the nonce."""
    policy = policy_of(read_service_section().settings, framed=framed)
    app.jinja_env.globals[NONCE] = nonce
    app.jinja_env.add_extension(ServiceHandlers)
    add_rewriter(app.jinja_env, _with_nonce)
    app.after_request(lambda response: with_headers(response, policy))


def with_headers(response: Response, policy: PagePolicy) -> Response:
    """`response` with the headers that it has not set itself.

    What is no file with a lifetime of its own may be kept by nobody: neither by a
    cache on the way nor by the next user of the same browser.
    """
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", "same-origin")
    if response.mimetype in _PAGES and policy.mode != "off":
        response.headers.setdefault(policy.header, policy.text(g.get(NONCE)))
    return response


def nonce() -> str:
    """This answer's nonce: 128 random bits in URL-safe base64."""
    if not has_app_context():
        # A template that is rendered for a mail or a file belongs to no answer.
        return ""
    if NONCE not in g:
        setattr(g, NONCE, secrets.token_urlsafe(16))
    made: str = g.get(NONCE)
    return made


def _with_nonce(tag: StartTag) -> Additions:
    if "nonce" in tag.attributes or not carries_nonce(tag):
        return Additions()
    return Additions(f' nonce="{{{{ {NONCE}() }}}}"')
