"""Many secrets in a line are found wherever they stand, at a cost that a line may have."""

from __future__ import annotations

import random
import string
import time

import pytest
from airflow_service.masking import MASK
from airflow_service.task_logs import needles
from airflow_service.task_logs.needles import SHORTEST, Index
from hypothesis import given
from hypothesis import strategies as st

# Characters of one to four bytes, what is no character, and two that the bytes of another have in them.
_CHARACTERS = st.sampled_from("aab\n\x80é€𝄞\udc80")
_TEXTS = st.lists(st.text(_CHARACTERS, min_size=SHORTEST, max_size=20), max_size=8)
MICROSECONDS = 10.0


def plainly(texts: list[str], line: str) -> str:
    """What masking is: from left to right, the longest text that stands there."""
    masked, at = "", 0
    while at < len(line):
        found = max((text for text in texts if line.startswith(text, at)), key=len, default="")
        masked += MASK if found else line[at]
        at += len(found) or 1
    return masked


@given(texts=_TEXTS, parts=st.lists(st.one_of(st.text(_CHARACTERS, max_size=9), st.integers(0, 7)), max_size=8))
def test_they_are_found_anywhere(texts: list[str], parts: list[str | int]) -> None:
    """As by comparing each text with each place, whether they are many or few."""
    known = [text for text in texts if text]
    line = "".join(part if isinstance(part, str) else "".join(known[part : part + 1]) for part in parts)
    expected = plainly(known, line)
    for few in (0, 99):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(needles, "_FEW", few)
            assert Index.of(known).masked(line) == expected


@pytest.mark.parametrize("length", [5, 7, 9, 20])
@pytest.mark.parametrize("count", [25, 300])
def test_a_line_costs_little(length: int, count: int) -> None:
    """Less than the limit of what a line may cost more than a plain file handler's, in this thread's time."""
    chance = random.Random(1)
    letters = string.ascii_letters + string.digits
    index = Index.of({"".join(chance.choices(letters, k=length)) for _ in range(count)})
    line = "[2026-11-22 10:00:00,123] {taskinstance.py:901} INFO - Step 12345 of a pipeline took 0.123 s, rows=123456"
    fastest = MICROSECONDS * 9
    for _ in range(100):
        begun = time.thread_time()
        for _ in range(200):
            index.masked(line)
        fastest = min(fastest, (time.thread_time() - begun) / 200 * 1e6)
        if fastest < MICROSECONDS:
            return
    pytest.fail(f"{fastest:.1f} µs")
