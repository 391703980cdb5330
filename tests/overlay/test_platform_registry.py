"""The platforms that entry points register, and which of them a task is of."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
from airflow_service.external_commands import registry
from airflow_service.external_commands.platform import State

GOOD = """
class Base: pass
class Mine(Base): pass

class Platform:
    name, label, xcom_key = "good", "Goto good", "id"
    operators = ("some_platforms.Base",)
    def connection_id(self, task): return "c"
    def decides(self, task): return True
    def parse_id(self, value): return int(value)
    def page_url(self, connection, command_id): return "https://x"
    def client(self, connection, connect_timeout, read_timeout): raise ValueError

class Nameless(Platform): name = "other"
class Unlabelled(Platform): name, label = "unlabelled", ""
class Listed(Platform): name, operators = "listed", ["some_platforms.Base"]
class Methodless: name, label, xcom_key, operators = "methodless", "a", "b", ()

GOOD, OTHER, UNLABELLED, LISTED, METHODLESS = Platform(), Nameless(), Unlabelled(), Listed(), Methodless()
"""
ENTRIES = """[airflow_service.platforms]
absent = no_such_module:X
good = some_platforms:GOOD
listed = some_platforms:LISTED
methodless = some_platforms:METHODLESS
misnamed = some_platforms:OTHER
unlabelled = some_platforms:UNLABELLED
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    """An installed distribution with one platform that is well, and one of each kind that is not."""
    (tmp_path / "some_platforms.py").write_text(GOOD)
    information = tmp_path / "some_platforms-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: some-platforms\nVersion: 1\n")
    (information / "entry_points.txt").write_text(ENTRIES)
    monkeypatch.syspath_prepend(str(tmp_path))
    registry.platforms.cache_clear()
    import some_platforms  # type: ignore[import-not-found, unused-ignore]

    yield some_platforms
    del sys.modules["some_platforms"]
    registry.platforms.cache_clear()


def test_broken_platforms_are_left_out_and_told(
    module: types.ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    """One that does not load, or lacks something, harms neither the others nor who asks."""
    assert [each.name for each in registry.platforms()] == ["good"]
    assert registry.named("good") is module.GOOD
    assert registry.named("absent") is None
    for name in ("absent", "listed", "methodless", "misnamed", "unlabelled"):
        assert f"The platform {name} (" in caplog.text


def test_a_task_counts_by_its_line_of_descent(module: types.ModuleType) -> None:
    """Users derive their operators; a class of the same name elsewhere is none of them."""
    assert registry.of_task(module.Base()) is module.GOOD
    assert registry.of_task(module.Mine()) is module.GOOD
    assert registry.of_task(type("Base", (), {})()) is None
    assert registry.of_classes(["x.Y", "some_platforms.Base"]) is module.GOOD
    assert registry.class_names(module.Mine)[:2] == ("some_platforms.Mine", "some_platforms.Base")


def test_only_unfinished_commands_may_still_change() -> None:
    """The states that are final are the three others."""
    assert [state for state in State if not state.is_final] == [State.UNFINISHED]
