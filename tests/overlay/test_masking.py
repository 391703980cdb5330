"""Nothing that is shown holds a secret."""

from __future__ import annotations

import pytest
from airflow_service.masking import mask_url, scrub, shown
from hypothesis import given
from hypothesis import strategies as st

_PASSWORD = st.text(st.sampled_from("QZ@:/?#%&=;!"), min_size=3).map(lambda text: f"Q{text}Z")


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("postgresql://u:pw@h:5432/db", "postgresql://u:***@h:5432/db"),
        ("redis://:pw@h/0", "redis://:***@h/0"),
        ("sqlite:////a/b.db", "sqlite:////a/b.db"),
        ("amqp://u@h//", "amqp://u@h//"),
        (
            "postgresql://h/db?user=u&password=pw&sslmode=require",
            "postgresql://h/db?user=u&password=***&sslmode=require",
        ),
        ("u:pw@h", "u:***@h"),
        ("", ""),
    ],
)
def test_passwords_are_masked(url: str, masked: str) -> None:
    """The rest of the URL stays, for it is what one looks for."""
    assert mask_url(url) == masked


@given(password=_PASSWORD)
def test_no_part_of_a_password_shows(password: str) -> None:
    """Not even of one whose special characters are not encoded, or in a message."""
    url = f"postgresql://user:{password}@host/db"
    assert mask_url(url) == "postgresql://user:***@host/db"
    assert password not in scrub(f"could not parse {url}: {password!s} is wrong", url)


def test_an_encoded_password_is_found_decoded() -> None:
    """Drivers quote the password as they got it, not as the URL writes it."""
    assert scrub("denied for p@ss", "mysql://u:p%40ss@h/db") == "denied for ***"


def test_values_are_shown_on_one_line() -> None:
    """Control characters are escaped, and long values cut."""
    assert shown("a\x1b[31m\n") == r"'a\x1b[31m\n'"
    assert len(shown("x" * 10_000)) < 250
