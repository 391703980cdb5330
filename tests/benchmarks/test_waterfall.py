"""The picture of a page load."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from benchmarks.visit import Request, Visit
from benchmarks.waterfall import Load, draw, label, segments, tick

PAGE = Request(
    url="http://far/airflow-1/admin/",
    kind="Document",
    begun=0.0,
    ended=0.7,
    connecting=(0.01, 0.31),
    sent=0.31,
    answered=0.69,
    size=13605,
    cached=False,
    asked_by="http://far/airflow-1/admin/",
)
STYLE = replace(
    PAGE, url="http://near/a/main.1065f6f8e2cdaa1d94af.css", begun=0.7, ended=0.8, connecting=None, sent=0.75,
    answered=0.78,
)  # fmt: skip
KEPT = replace(STYLE, begun=0.71, sent=0.705, answered=0.705, ended=0.71, size=0, cached=True)
WAYS = {"far": "tunnel", "near": "cdn"}


def _drawn(*visits: Visit) -> ET.Element:
    return ET.fromstring(draw([Load("One & two", visit, WAYS) for visit in visits], "<Loads>"))


def _texts(picture: ET.Element) -> list[str]:
    return [element.text or "" for element in picture.iter() if element.tag.endswith("text")]


def test_the_parts_of_a_bar_follow_one_another_from_begin_to_end() -> None:
    parts = segments(PAGE, "tunnel")
    assert [part.begin for part in parts] == [0.0, 0.01, 0.31, 0.69]
    assert [part.end for part in parts] == [0.01, 0.31, 0.69, 0.7]
    assert len({part.colour for part in parts}) == 4


def test_without_a_connection_of_its_own_a_request_waits_until_it_is_sent() -> None:
    assert [(part.begin, part.end) for part in segments(STYLE, "cdn")] == [
        (0.7, 0.75),
        (0.75, 0.78),
        (0.78, 0.8),
    ]


def test_the_two_ways_differ_in_colour() -> None:
    tunnel, cdn = ({part.colour for part in segments(STYLE, way)} for way in ("tunnel", "cdn"))
    assert len(tunnel & cdn) == 1, "only waiting for one's turn looks the same"


def test_what_came_out_of_the_cache_has_no_part_that_runs_backwards() -> None:
    assert segments(KEPT, "cdn") == []


@pytest.mark.parametrize(
    ("span", "distance"), [(4.2, 0.5), (1.0, 0.1), (0.9, 0.1), (11.0, 2.0), (0.0042, 0.0005), (10.0, 1.0)]
)
def test_the_scale_has_round_numbers_and_not_too_many(span: float, distance: float) -> None:
    assert tick(span) == pytest.approx(distance)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://near/a/d3.v3.min.f9a05a87ec429ffdef80.js", "d3.v3.min.js"),
        ("http://far/airflow-1/admin/", "admin"),
        ("http://far/airflow-1/static/main.css?v=1", "main.css"),
        ("http://far/airflow-1/admin/airflow/task_stats?dag_ids=a,b", "task_stats"),
        (f"http://far/{'x' * 50}", "x" * 33 + "…"),
    ],
)
def test_a_request_is_called_by_its_file_without_the_hash(url: str, name: str) -> None:
    assert label(replace(PAGE, url=url)) == name


def test_each_load_has_its_bars_and_all_have_one_scale() -> None:
    quick = Visit((PAGE, STYLE, KEPT), 0.9, (), "")
    slow = Visit((replace(PAGE, ended=3.0),), 3.1, (), "")
    picture = _drawn(quick, slow)
    texts = _texts(picture)
    assert texts.count("admin") == 2
    assert "13.6 kB" in texts
    assert "cache" in texts
    assert "loaded 900 ms" in texts
    assert "loaded 3100 ms" in texts
    assert texts.count("3000 ms") == 2
    assert "One & two" in texts
    wide = [float(bar.get("width", "0").rstrip("%")) for bar in picture.iter() if bar.tag.endswith("rect")][
        1:
    ]
    # The slow page's last part, 2.31 s of 3.1, is the widest of the picture.
    assert max(wide) == pytest.approx(2.31 / 3.1 * 620, abs=1)


def test_everything_is_within_the_picture() -> None:
    picture = _drawn(Visit((PAGE, STYLE), 0.9, (), ""), Visit((replace(PAGE, ended=3.0),), 3.1, (), ""))
    width, height = float(picture.get("width", "")), float(picture.get("height", ""))
    for element in picture.iter():
        for name, most in (
            ("x", width),
            ("x1", width),
            ("x2", width),
            ("y", height),
            ("y1", height),
            ("y2", height),
        ):
            assert 0 <= float(element.get(name, "0")) <= most
