"""Tests of airflow_service.template_tags: start tags in the text of templates, and what is added to them."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from airflow_service.template_tags import Additions, StartTag, add_rewriter, rewrite, start_tags
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment

URL = "{{ url_for('static', filename='x.js') }}"


def names(source: str) -> list[str]:
    return [tag.name for tag in start_tags(source)]


@pytest.mark.parametrize(
    ("source", "attributes"),
    [
        (f'<script src="{URL}"></script>', {"src": URL}),
        (f"<script src = '{URL}' async></script>", {"src": URL, "async": ""}),
        (f"<SCRIPT SRC={URL} defer></SCRIPT>", {"src": URL, "defer": ""}),
        # Jinja's strings may hold the quote that the value stands in, and the bracket that ends the tag.
        ('<script src="{{ url_for("a", b="c>d") }}"></script>', {"src": '{{ url_for("a", b="c>d") }}'}),
        ("<script src='{{ {'a': {}}['a'] }}'></script>", {"src": "{{ {'a': {}}['a'] }}"}),
        ('<script src="{{ "}}" }}" id=a></script>', {"src": '{{ "}}" }}', "id": "a"}),
        ('<script {% if a > b %}src="x"{% else %}src="y"{% endif %} b></script>', {"src": "x", "b": ""}),
        ("<script {% if a %}src={{ b }}{% endif %} c>", {"src": "{{ b }}", "c": ""}),
        ("<script src={% if a %}x{% endif %} b>", {"src": "{% if a %}x{% endif %}", "b": ""}),
        ('<script {# > " #} src="x"></script>', {"src": "x"}),
        ('<script src="{% raw %}">{% endraw %}"></script>', {"src": '{% raw %}">{% endraw %}'}),
        ('<script\n  src="x"\n  type="text/javascript"\n></script>', {"src": "x", "type": "text/javascript"}),
        ("<script src=a/b></script>", {"src": "a/b"}),
        ("<script =x></script>", {"=x": ""}),
        ("<script a=1 A=2></script>", {"a": "1"}),
    ],
)
def test_attributes(source: str, attributes: dict[str, str]) -> None:
    """However a tag is written, its attributes are read as a browser reads what Jinja makes of it."""
    (tag,) = start_tags(source)
    assert (tag.name, tag.attributes) == ("script", attributes)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("<!-- <script> --><link>", ["link"]),
        ("<!-- <script>", []),
        ("{# <script> #}<link>", ["link"]),
        ("{{ '<script>' }}<link>", ["link"]),
        ("{% set a = '%}<script>' %}<link>", ["link"]),
        ("<!-- <p> --!><link>", ["link"]),
        ("<!--><link>", ["link"]),
        ("<!---><link> -->", ["link"]),
        ("{% raw %}<script>{{{% endraw %}<link>", ["script", "link"]),
        ("{% raw %}<p a={{'>'}}>{% endraw %}<link>", ["p", "link"]),
        ("{% raw %}<p a={% endraw %}1><link>", ["link"]),
        ("{%- raw -%}<script>", []),
        ("<script>'<link>' < 3</script><link>", ["script", "link"]),
        ("<script>'{{ \"</script>\" }}<link>'</script ><link>", ["script", "link"]),
        ("<script>if (a<b) {# </script> #} x</SCRIPT><link>", ["script", "link"]),
        ("<script></scripts><link></script><p>", ["script", "p"]),
        ("<title><link></title><style><link></style><link>", ["title", "style", "link"]),
        ("<svg><title/><a></svg>", ["svg", "title", "a"]),
        ("a < b, <3, </p>, <link", []),
        ("<link href='", []),
        ("{{ unclosed <link>", []),
        ("{% if a %}<link>{% endif %}<{{ name }}><p>", ["link", "p"]),
        ("", []),
    ],
)
def test_where_tags_are(source: str, found: list[str]) -> None:
    """Comments, strings and scripts hold none."""
    assert names(source) == found


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("<link a>", "<link a X>"),
        ("<link a />", "<link a X />"),
        ("<link a/>", "<link a X/>"),
        ("<link a='b'/>", "<link a='b' X/>"),
        ("<link\n a\n>\n", "<link\n a X\n>\n"),
        ("<link{% if a %} b{% endif %}>", "<link{% if a %} b{% endif %} X>"),
        ("<p><link></p>", "<p><link X></p>"),
    ],
)
def test_what_is_added_stands_in_the_tag(source: str, wanted: str) -> None:
    """It comes after the other attributes, and nothing else changes."""
    assert rewrite(source, [lambda tag: Additions(" X" if tag.name == "link" else "")]) == wanted


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("<a b='c' d>", "<a b='[c]' d X>"),
        ("<a b=c>", "<a b=[c] X>"),
        ("<a b=c/>", "<a b=[c/] X>"),
        ('<a b = "" c>', '<a b = "[]" c X>'),
        ("<a\nb='c\n'>", "<a\nb='[c\n]' X>"),
        ("<a {% if b %}b='c'{% else %}B=d{% endif %}>", "<a {% if b %}b='[c]'{% else %}B=[d]{% endif %} X>"),
        ("{% raw %}<a b=c>{% endraw %}", "{% raw %}<a b=c{% endraw %} X{% raw %}>{% endraw %}"),
    ],
)
def test_what_is_added_around_a_value(source: str, wanted: str) -> None:
    """It stands within the quotes, if it has any; a value in a raw block has nothing around it."""

    def brackets(tag: StartTag) -> Additions:
        return Additions(around={value: ("[", "]") for value in tag.values if value.attribute == "b"})

    assert rewrite(source, [lambda tag: Additions(" X"), brackets]) == wanted


def test_an_environment_runs_every_rewriter() -> None:
    """For files, included or not, and for templates from strings; autoescape and line numbers stay."""
    environment = Environment(autoescape=True)
    add_rewriter(environment, lambda tag: Additions(' nonce="{{ nonce }}"' if tag.name == "script" else ""))
    add_rewriter(environment, lambda tag: Additions(" second" if tag.name == "script" else ""))
    template = environment.from_string("<script\n></script>\n{{ a }}{{ 1 / b }}")
    assert template.render(nonce="n<", a="<", b=1) == '<script nonce="n&lt;" second\n></script>\n&lt;1.0'
    with pytest.raises(ZeroDivisionError) as caught:
        template.render(b=0)
    assert caught.traceback[-1].lineno == 2


def test_tags_in_a_raw_block() -> None:
    """What is added is read by Jinja, and what stands around it is not."""
    environment = Environment(trim_blocks=True, lstrip_blocks=True)
    add_rewriter(environment, lambda tag: Additions(" {{ 1 }}"))
    template = environment.from_string("{% raw %}<p a='{{'\n>\n{{ x }}{% endraw %}\n<p>")
    assert template.render() == "<p a='{{' 1\n>\n{{ x }}<p 1>"


@given(st.text(alphabet="<>/=\"'{}%# \nscriptlink-!aw"))
def test_any_text(source: str) -> None:
    """Any text is read to its end, and without rewriters stays what it was."""
    tags = list(start_tags(source))
    assert rewrite(source, []) == source
    assert all(0 < tag.end <= len(source) for tag in tags)
    assert [tag.end for tag in tags] == sorted(tag.end for tag in tags)


class Browser(HTMLParser):
    """What the standard library finds in the same text, where it holds no Jinja."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.found: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes: dict[str, str] = {}
        for name, value in attrs:
            attributes.setdefault(name, value or "")
        self.found.append((tag, attributes))


VALUES = st.text(alphabet="abc/.?=-_ <>", max_size=8)
ATTRIBUTES = st.dictionaries(st.sampled_from(["src", "href", "rel", "id", "async"]), VALUES, max_size=3)


@given(st.lists(st.tuples(st.sampled_from(["script", "link", "p", "img"]), ATTRIBUTES, st.booleans())))
def test_as_a_parser_reads_html(tags: list[tuple[str, dict[str, str], bool]]) -> None:
    """In text without Jinja the tags and attributes are those of the standard library's parser."""
    parts = []
    for name, attributes, single in tags:
        quote = "'" if single else '"'
        written = "".join(f" {key}={quote}{value}{quote}" for key, value in attributes.items())
        parts.append(f"<{name}{written}>" + ("text <b> </script>" if name == "script" else "text"))
    source = "".join(parts)
    browser = Browser()
    browser.feed(source)
    assert [(tag.name, tag.attributes) for tag in start_tags(source)] == browser.found


def test_start_tag_is_plain_data() -> None:
    """Rewriters of other modules build on these names."""
    assert StartTag("link", {"rel": "stylesheet"}, 3).attributes["rel"] == "stylesheet"
