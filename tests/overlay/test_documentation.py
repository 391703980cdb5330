"""The declared options, the files that Airflow ships, and the guide agree."""

from __future__ import annotations

from pathlib import Path
from textwrap import indent

from airflow_service.errors import (
    EXIT_CONFIGURATION,
    EXIT_DONE,
    EXIT_PROBLEMS_FOUND,
    EXIT_UNEXPECTED,
    EXIT_USAGE,
)
from airflow_service.options import ServiceSettings, declared

GUIDE = Path(__file__).parents[2] / "docs" / "configuration.md"
TEMPLATES = Path("airflow", "config_templates")


def test_default_airflow_cfg_has_every_option(airflow_tree: Path) -> None:
    """Section, order, defaults and comments are those of the declaration."""
    shipped = (airflow_tree / TEMPLATES / "default_airflow.cfg").read_text(encoding="utf-8")
    blocks = []
    for name, option in declared(ServiceSettings).items():
        comment = indent(f"{option.description}\nAllowed: {option.allowed}", "# ")
        blocks.append(f"{comment}\n{name} = {option.default}".rstrip())
    introduction, _, options = shipped.partition("\n[service]\n")[2].partition("\n\n")
    assert all(line.startswith("# ") for line in introduction.splitlines())
    assert options == "\n\n".join(blocks) + "\n"


def test_config_yml_has_every_option(airflow_tree: Path) -> None:
    """Upstream lists its options there too."""
    shipped = (airflow_tree / TEMPLATES / "config.yml").read_text(encoding="utf-8")
    entries = ""
    for name, option in declared(ServiceSettings).items():
        description = indent(f"{option.description}\nAllowed: {option.allowed}\n", "        ")
        entries += (
            f"    - name: {name}\n      description: |\n{description}      version_added: {option.since}\n"
            f'      type: string\n      example: ~\n      default: "{option.default}"\n'
        )
    assert shipped.partition("\n- name: service\n")[2].partition("  options:\n")[2] == entries


def test_the_guide_has_every_option() -> None:
    """One row of the table for each."""
    rows = [
        f"| `{name}` | {f'`{option.default}`' if option.default else 'empty'} | {option.allowed} "
        f"| {' '.join(option.description.split())} |"
        for name, option in declared(ServiceSettings).items()
    ]
    guide = GUIDE.read_text(encoding="utf-8")
    assert [line for line in guide.splitlines() if line.startswith("| `")] == rows


def test_the_guide_has_every_exit_code() -> None:
    """The numbers are a contract with supervisors and scripts."""
    guide = GUIDE.read_text(encoding="utf-8")
    for code in (EXIT_DONE, EXIT_UNEXPECTED, EXIT_USAGE, EXIT_PROBLEMS_FOUND, EXIT_CONFIGURATION):
        assert f"| {code} |" in guide
