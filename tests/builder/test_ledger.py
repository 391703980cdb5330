"""Tests of builder.ledger: everything in a header is in the ledger, as text."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.ledger import named_advisories, patch_size, render_ledger, sort_advisories
from builder.release import Release, load_release
from builder.series import Patch, Series, load_series

SAMPLE = Path(__file__).parents[1] / "samples" / "records" / "2.0"


@pytest.fixture
def release() -> Release:
    return load_release(SAMPLE)


@pytest.fixture
def series() -> Series:
    return load_series(SAMPLE)


def with_first(series: Series, **changes: object) -> Series:
    """The series with its first patch changed."""
    first, *rest = series.patches
    changed: Patch = dataclasses.replace(first, **changes)  # type: ignore[arg-type]
    return Series(series.directory, (changed, *rest))


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]


def test_top_says_that_it_is_generated(release: Release, series: Series) -> None:
    """The first lines name the command that writes the file."""
    assert "./build.py refresh" in "".join(render_ledger([(release, series)]).splitlines()[:4])


def test_table_has_a_row_a_patch(release: Release, series: Series) -> None:
    """Each patch is a row of the table, in the order of the series, with its numbers."""
    text = render_ledger([(release, series)])
    rows = [cells(line) for line in text.splitlines() if re.match(r"\| \d", line)]
    assert [row[0] for row in rows] == ["1", "2"]
    assert rows[0][1] == "[quote-the-origin](#2.0-quote-the-origin)"
    assert rows[0][3:7] == ["+2 -1", "1", "<https://example.org/made-up/pull/7>", "with the 2.0 line"]
    assert rows[1][3:] == ["+0 -2", "1", "not-needed", "never", "[test_notes](../tests/patches/test_notes.py)"]
    assert "2 patches, in the order in which they apply: +2 -3 lines in 2 files" in text


def test_links_lead_somewhere(release: Release, series: Series) -> None:
    """Every link within the page has its anchor."""
    text = render_ledger([(release, series)])
    anchors = re.findall(r'<a id="([^"]+)">', text)
    assert set(re.findall(r"\(#([^)]+)\)", text)) == set(anchors)
    assert len(anchors) == 2


def test_header_text_is_no_markup(release: Release, series: Series) -> None:
    """Markup in a header is shown as written; code spans and lists stay."""
    text = render_ledger([(release, series)])
    assert "### Quote the \\<origin> of `trigger | run`, as \\_\\_html\\_\\_ asks" in text
    assert "Quote the \\<origin> of `trigger \\| run`" in text  # the same, in the table
    assert "\n- first, quote\n- then, show\n" in text
    assert "A `<b>` is shown now." in text


def test_advisories_have_a_table(release: Release, series: Series) -> None:
    """Each CVE number that a header names is listed once, oldest first, with its patches."""
    text = render_ledger([(release, series)])
    rows = [cells(line) for line in text.splitlines() if line.startswith("| CVE")]
    link = "[quote-the-origin](#2.0-quote-the-origin)"
    assert rows == [["CVE-2020-13944", link], ["CVE-2021-45229", link]]
    assert "Advisories" not in render_ledger([(release, with_first(series, reason="None."))])


def test_several_releases_and_none(release: Release, series: Series) -> None:
    """Each release has its part; a series without patches says so."""
    other = dataclasses.replace(release, version="3.0")
    text = render_ledger([(release, series), (other, Series(SAMPLE, ()))])
    assert text.index("## made-up 2.0") < text.index("## made-up 3.0") < text.index("No patches.")


def test_oversize_is_shown(release: Release, series: Series) -> None:
    """The reason for which a patch is large is part of its section."""
    fields = {**series.patches[0].fields, "Oversize": "one list"}
    assert "- Oversize: one list\n" in render_ledger([(release, with_first(series, fields=fields))])


def test_patch_size_counts_by_file(series: Series) -> None:
    """Lines are counted in all and by file; a deleted file counts its lines."""
    size = patch_size(series.patches[1])
    assert (size.added, size.removed, size.files) == (0, 2, (("made_up/notes.txt", 0, 2),))


def test_advisories_are_sorted_by_number(series: Series) -> None:
    """CVE numbers are sorted as numbers: 9999 comes before 10000."""
    assert named_advisories(series.patches[0]) == ("CVE-2020-13944", "CVE-2021-45229")
    assert sort_advisories(["CVE-2024-10000", "CVE-2024-9999", "CVE-2024-10000"]) == (
        "CVE-2024-9999",
        "CVE-2024-10000",
    )


@given(st.text(alphabet="ab_*<[]`|\\&#=> .", max_size=40))
def test_no_subject_breaks_the_table(subject: str) -> None:
    """Whatever a subject holds, its row keeps its eight cells."""
    changed = with_first(load_series(SAMPLE), subject=subject)
    text = render_ledger([(load_release(SAMPLE), changed)])
    rows = [line for line in text.splitlines() if line.startswith("| 1 |")]
    assert [len(cells(row)) for row in rows] == [8]
