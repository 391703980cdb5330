"""Tests of airflow_service.log_reading.pages: pages join to the text, and no line or character is cut."""

from __future__ import annotations

from airflow_service.log_reading.pages import Page, page_after, page_before, whole_lines
from hypothesis import given
from hypothesis import strategies as st

# Characters of one to four bytes, line ends, and bytes that are no UTF-8.
_TEXTS = st.lists(
    st.one_of(
        st.sampled_from(["\n", "\n", "a", "é", "€", "𝄞", "line of words\n"]).map(str.encode),
        st.binary(min_size=1, max_size=5),
        st.sampled_from([b"\xf0\x90", b"\xe2\x82", b"\x80\x80\x80\x80\x80", b"\xc0", b"\xff"]),
    ),
    max_size=40,
).map(b"".join)


def upwards(text: bytes, limit: int) -> list[Page]:
    """All pages, as somebody sees them who begins at the end and goes up."""
    pages: list[Page] = []
    end = len(text)
    while end > 0:
        page = page_before(lambda start, end: text[start:end], max(0, end - limit), end)
        assert page.start < end, "each page leads on"
        pages.insert(0, page)
        end = page.start
    return pages


def downwards(text: bytes, limits: list[int]) -> list[Page]:
    """All pages, as somebody sees them who follows a text that grows by this much at each look."""
    pages: list[Page] = []
    start = end = 0
    for limit in [*limits, len(text)]:
        end = min(len(text), end + limit)
        page = page_after(lambda start, end: text[start:end], start, end, goes_on=end < len(text))
        assert page.start == start
        assert end - page.end <= 3
        start = page.end
        pages.append(page)
    return pages


@given(_TEXTS, st.integers(5, 60))
def test_pages_upwards_are_the_text(text: bytes, limit: int) -> None:
    """Byte by byte, and as characters: nothing missing, nothing twice, no sequence cut."""
    pages = upwards(text, limit)
    assert b"".join(page.data for page in pages) == text
    assert "".join(page.text for page in pages) == text.decode("utf-8", "replace")
    for page in pages:
        assert len(page.data) <= limit
        assert page.end - page.start == len(page.data)
        if page.start and text[page.start - 1] != ord("\n"):
            assert page.within_line
            assert b"\n" not in page.data[:-1], "only a line that is longer than a page is cut"


@given(_TEXTS, st.lists(st.integers(0, 60), max_size=30))
def test_pages_downwards_are_the_text(text: bytes, limits: list[int]) -> None:
    """However it grows between two looks."""
    pages = downwards(text, limits)
    assert b"".join(page.data for page in pages) == text
    assert "".join(page.text for page in pages) == text.decode("utf-8", "replace")


@given(_TEXTS, st.integers(1, 60))
def test_whole_lines_end_with_one(text: bytes, limit: int) -> None:
    """But for a page without a line's end."""
    page = page_after(lambda start, end: text[start:end], 0, min(limit, len(text)), goes_on=True)
    lines = whole_lines(page)
    assert page.data.startswith(lines.data)
    assert lines.end - lines.start == len(lines.data)
    assert lines.data[-1:] == b"\n" if b"\n" in page.data else lines == page


def test_a_line_that_is_longer_than_a_page() -> None:
    """It goes over several pages, cut between characters, and each but its first says so."""
    pages = upwards(b"first\n" + "€".encode() * 10 + b"\nlast\n", 12)
    assert [(page.text, page.within_line) for page in pages] == [
        ("first\n", False),
        ("€€€", False),
        ("€€€€", True),
        ("€€€\n", True),
        ("last\n", False),
    ]
