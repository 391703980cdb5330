"""URLs that are made without an application: whatever the names are, they come back."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from airflow_service import urls
from hypothesis import given
from hypothesis import strategies as st

_NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
_BASES = st.sampled_from(
    ["http://h", "http://h:8080/", "https://h/a/b", " https://h/a/b// ", "https://[::1]:80/a"]
)
_DAY = datetime(2026, 1, 2, 3, 4, 5, 678, UTC)


@given(base=_BASES, dag=_NAMES, task=_NAMES)
def test_names_come_back_from_the_query(base: str, dag: str, task: str) -> None:
    """Each name arrives as it was, below the base's own path, and nothing else does."""
    for made, page in ((urls.log_url, "log"), (urls.mark_success_url, "success")):
        url = urlsplit(made(base, dag, task, _DAY))
        told = urlsplit(base.strip().rstrip("/"))
        assert (url.scheme, url.netloc, url.fragment) == (told.scheme, told.netloc, "")
        assert url.path == f"{told.path}/admin/airflow/{page}"
        expected = {
            "dag_id": [dag],
            "task_id": [task],
            "execution_date": ["2026-01-02T03:04:05.000678+00:00"],
        }
        assert parse_qs(url.query, strict_parsing=True) == expected


@given(base=_BASES, name=_NAMES)
def test_a_name_stays_one_step_of_the_path(base: str, name: str) -> None:
    """A slash or a question mark in a name changes no other part of the URL."""
    url = urlsplit(urls.url_below(base, "api_experimental.get_pool", name=name))
    *_, parent, last = url.path.split("/")
    assert (parent, unquote(last)) == ("pools", name)
    assert (url.query, url.fragment) == ("", "")


def test_what_is_missing_is_an_error() -> None:
    """An unknown endpoint, or a value too few, never makes a URL."""
    with pytest.raises(KeyError, match="nowhere"):
        urls.url_below("http://h", "nowhere")
    with pytest.raises(KeyError, match="dag_id"):
        urls.url_below("http://h", "api_experimental.delete_dag")
