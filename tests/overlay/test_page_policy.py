"""The Content-Security-Policy's text, and handlers moved out of attributes."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from airflow_service.inline_handlers import ServiceHandlers, left_handlers, move_handlers
from airflow_service.options import ServiceSettings
from airflow_service.page_policy import PagePolicy, policy_of
from airflow_service.template_tags import start_tags
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment


def directives(policy: PagePolicy, nonce: str | None = "n0nce") -> dict[str, list[str]]:
    parsed = [directive.split() for directive in policy.text(nonce).split("; ")]
    assert len({name for name, *_ in parsed}) == len(parsed)
    return {name: sources for name, *sources in parsed}


def test_scripts_need_the_nonce_or_a_known_place() -> None:
    """Nothing inline without a nonce, nothing evaluated, nothing from elsewhere."""
    policy = directives(policy_of(ServiceSettings(cdn_url="https://cdn.example/x"), framed=True))
    assert policy["default-src"] == ["'none'"]
    assert policy["script-src"] == ["'self'", "https://cdn.example/x/a/", "'nonce-n0nce'"]
    assert policy["style-src-elem"] == policy["script-src"]
    assert policy["img-src"] == ["'self'", "https://cdn.example/x/a/", "data:"]
    assert policy["base-uri"] == ["'none'"]
    assert policy["connect-src"] == policy["form-action"] == ["'self'"]
    assert not {"frame-ancestors", "frame-src"} & policy.keys()


def test_without_a_cdn_and_without_a_nonce() -> None:
    """An answer whose templates asked for no nonce blesses nothing inline."""
    policy = directives(policy_of(ServiceSettings(), framed=False), nonce=None)
    assert policy["script-src"] == ["'self'"]
    assert policy["worker-src"] == ["'self'"]
    assert policy["frame-ancestors"] == ["'none'"]


def test_a_cdn_path_ends_no_directive() -> None:
    """Semicolon and comma may stand in a URL's path, and separate directives and policies."""
    policy = policy_of(ServiceSettings(cdn_url="https://cdn.example/a;b,c"), framed=True)
    assert directives(policy)["font-src"] == ["'self'", "https://cdn.example/a%3Bb%2Cc/a/"]


@pytest.mark.parametrize(
    ("written", "moved"),
    [
        (
            "<button onclick=\"return faHelpers.safeConfirm('{{ _gettext('Sure?') }}');\" title='x'>",
            "<button data-service-confirm=\"{{ _gettext('Sure?') }}\" title='x'>",
        ),
        ("<a onclick=\"return confirm('Sure?')\">", '<a data-service-confirm="Sure?">'),
        ("<a onclick=\"return modelActions.execute('{{ p[0] }}');\">", '<a data-service-batch-action="{{ p[0] }}">'),
        (
            "<a onclick=\"faForm.addInlineField(this, '{{ field.id }}');\">",
            '<a data-service-add-inline-field="{{ field.id }}">',
        ),
        ('<a class="filter" onclick="return false;">', '<a class="filter" data-service-inert>'),
    ],
)  # fmt: skip
def test_known_handlers_are_moved(written: str, moved: str) -> None:
    """The shapes of Flask-Admin's templates."""
    assert move_handlers(written) == moved


@pytest.mark.parametrize(
    "handler",
    [
        "return confirm('a'); steal('b')",
        "return confirm('a') || steal('b')",
        "return confirm('{{ a }}' + '{{ b }}')",
        "return confirm('{{ a }}{{ b }}')",
        "return confirm('it\\'s')",
        "return modelActions.execute(this.id)",
        "return other('x')",
    ],
)
def test_nothing_else_is_moved(handler: str) -> None:
    """What is more than one question with one text stays where it is, and is not run."""
    assert move_handlers(f'<a onclick="{handler}">') == f'<a onclick="{handler}">'


@given(st.text(alphabet="ab'\"{}<>\\();= \n", max_size=40))
def test_a_moved_text_stays_in_its_attribute(text: str) -> None:
    """Whatever stands in a handler, the tag has the same other attributes before and after."""
    source = f'<a onclick="return confirm(\'{text}\')" id="x">'
    before, after = [*start_tags(source)], [*start_tags(move_handlers(source))]
    names = [[name for name in tag.attributes if not name.startswith(("on", "data-"))] for tag in before]
    assert [[n for n in tag.attributes if not n.startswith(("on", "data-"))] for tag in after] == names


def test_a_handler_that_is_left_is_named(caplog: pytest.LogCaptureFixture) -> None:
    """A plugin's author finds the template and the attribute in the log."""
    environment: Any = Environment(extensions=[ServiceHandlers], autoescape=True)
    with caplog.at_level(logging.WARNING):
        page = environment.from_string("<p onclick=\"return false\"><b ONmouseover='x()'>")
    assert page.render() == "<p data-service-inert><b ONmouseover='x()'>"
    [record] = caplog.records
    assert 'onmouseover="x()" in a <b>' in record.getMessage()
    [tag] = start_tags('<a once="x" on="y" onclick="z">')
    assert left_handlers(tag) == ["onclick"]
