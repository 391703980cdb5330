"""Event handlers that templates write into attributes, which the policy lets nobody run.

Airflow's own are moved by patches. Those of Flask-Admin's templates, which plugins
extend and copy, are a few fixed shapes. Each is put into a `data-service-…`
attribute here, in the template's text, and `page.js` does what it says: for an
element with the page's nonce alone, so that no other markup can have it done.
"""

from __future__ import annotations

import logging
import re

from jinja2.ext import Extension

from airflow_service.template_tags import StartTag, start_tags

_LOG = logging.getLogger(__name__)
PREFIX = "data-service-"
# One string literal: an expression of Jinja's, or text without quotes and escapes.
_TEXT = r"'(\{\{(?:(?!\}\}|\").)*\}\}|[^'\"\\{}<>]*)'"
_SHAPES = tuple(
    (re.compile(rf'(?<=\s)onclick="{shape}"', re.DOTALL), replacement)
    for shape, replacement in (
        (r"\s*return false;?\s*", f"{PREFIX}inert"),
        (rf"\s*return (?:faHelpers\.safeConfirm|confirm)\({_TEXT}\);?\s*", rf'{PREFIX}confirm="\1"'),
        (rf"\s*return modelActions\.execute\({_TEXT}\);?\s*", rf'{PREFIX}batch-action="\1"'),
        (rf"\s*faForm\.addInlineField\(this, {_TEXT}\);?\s*", rf'{PREFIX}add-inline-field="\1"'),
    )
)
_WITH_NONCE = frozenset({"script", "style"})
_HANDLER = re.compile(r"on[a-z]{3,}")


class ServiceHandlers(Extension):
    """Moves the known handlers of each template, and names those that are left."""

    # Before the tags get their nonces.
    priority = 50

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        """The template's text without the known handlers."""
        moved = move_handlers(source)
        for tag in start_tags(moved):
            for attribute in left_handlers(tag):
                _LOG.warning(
                    'The template %s has %s="%s" in a <%s>: the pages\' Content-Security-Policy keeps'
                    " browsers from running it. Add the listener in a script; see docs/security.md.",
                    filename or name,
                    attribute,
                    tag.attributes[attribute],
                    tag.name,
                )
        return moved


def move_handlers(source: str) -> str:
    """A template's text with its known handlers as `data-service-…` attributes."""
    for shape, replacement in _SHAPES:
        source = shape.sub(replacement, source)
    return source


def left_handlers(tag: StartTag) -> list[str]:
    """The attributes of a tag that are event handlers."""
    return [name for name in tag.attributes if _HANDLER.fullmatch(name)]


def carries_nonce(tag: StartTag) -> bool:
    """Whether the policy, or `page.js`, asks for the tag's nonce."""
    return tag.name in _WITH_NONCE or any(name.startswith(PREFIX) for name in tag.attributes)
