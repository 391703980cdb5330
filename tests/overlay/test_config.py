"""The [service] section: read, checked as a whole, and told without secrets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from airflow_service import config, start
from airflow_service.doctor import settings
from airflow_service.doctor.findings import Finding
from airflow_service.errors import EXIT_CONFIGURATION, WrongSettings
from airflow_service.options import Option, ServiceSettings, declare, declared
from airflow_service.sources import Configuration


def _read(home: Path, cfg: str = "", **environment: str) -> Configuration:
    (home / "airflow.cfg").write_text(cfg, encoding="utf-8")
    return Configuration.read({"AIRFLOW_HOME": str(home), **environment})


def test_a_configuration_without_the_section_has_the_defaults(tmp_path: Path) -> None:
    """An airflow.cfg of the untouched release keeps working."""
    section = config.read_service_section(_read(tmp_path, "[core]\nexecutor = LocalExecutor\n"))
    assert section.settings == ServiceSettings()
    assert set(section.sources.values()) == {"default"}


def test_values_come_from_file_and_environment(tmp_path: Path) -> None:
    """The environment wins, as it does for upstream's keys."""
    cfg = "[service]\ncluster_id = file\ncdn_url = https://cdn/x/\n"
    section = config.read_service_section(_read(tmp_path, cfg, AIRFLOW__SERVICE__CLUSTER_ID="env"))
    assert section.settings == ServiceSettings(cluster_id="env", cdn_url="https://cdn/x")
    assert section.sources["cluster_id"] == "environment variable AIRFLOW__SERVICE__CLUSTER_ID"
    shown = config.effective(section)
    assert (shown["cluster_id"], shown["cdn_url"]) == ("env", "https://cdn/x")
    assert shown["trusted_proxies"] == "127.0.0.0/8, ::1"


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    """Each with section, key, value, what is allowed, and where it was set."""
    cfg = "[service]\ncluster_id = a b\ncdnurl = 1\nCLUSTER_ID = x\n"
    wrong = {"AIRFLOW__SERVICE__CDN_URL": "https://user:hunter2@cdn", "AIRFLOW__SERVICE__ZZZ": "hunter2"}
    with pytest.raises(WrongSettings) as caught:
        config.read_service_section(_read(tmp_path, cfg, **wrong))
    told = str(caught.value)
    file = tmp_path / "airflow.cfg"
    assert f"[service] cluster_id = 'a b'  ({file})" in told
    assert "allowed: 1 to 64 of the characters" in told
    assert f"[service] cdnurl  ({file})\n    there is no such key; did you mean cdn_url?" in told
    assert f"[service] CLUSTER_ID  ({file})\n    there is no such key; did you mean cluster_id?" in told
    assert "= 'https://user:***@cdn'  (environment variable AIRFLOW__SERVICE__CDN_URL)" in told
    assert "[service] zzz  (environment variable AIRFLOW__SERVICE__ZZZ)" in told
    assert "known are: cluster_id, cdn_url" in told
    assert len(caught.value.faults) == 5
    assert "hunter2" not in told


def test_variables_in_another_case_are_unknown(tmp_path: Path) -> None:
    """Upstream looks for upper case only: another spelling would be without effect."""
    with pytest.raises(WrongSettings, match="upper case: AIRFLOW__SERVICE__CDN_URL"):
        config.read_service_section(_read(tmp_path, AIRFLOW__Service__cdn_url="https://cdn"))


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    """What it sets is not known, and defaults are not what its author meant."""
    with pytest.raises(WrongSettings, match="cannot be read"):
        config.read_service_section(_read(tmp_path, "[service]\nx\n"))


def test_a_lone_percent_is_a_fault(tmp_path: Path) -> None:
    """It has to be doubled in airflow.cfg, and not in the environment."""
    with pytest.raises(WrongSettings, match="written %%"):
        config.read_service_section(_read(tmp_path, "[service]\ncdn_url = https://cdn/%20\n"))
    read = _read(tmp_path, AIRFLOW__SERVICE__CDN_URL="https://cdn/%20")
    assert config.read_service_section(read).settings.cdn_url == "https://cdn/%20"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_pages_by_https_take_nothing_by_http(tmp_path: Path, scheme: str) -> None:
    """Browsers block it, and the CDN would look healthy to the webserver: told by the start and by doctor."""
    cfg = f"[service]\ncdn_url = {scheme}://cdn/x\n[webserver]\nbase_url = https://flow/airflow-1\n"
    read = _read(tmp_path, cfg)
    findings = [one.problem for one in settings.service_section(read) if isinstance(one, Finding)]
    if scheme == "https":
        config.check(read)
        assert findings == []
        return
    with pytest.raises(WrongSettings, match="browsers block it") as caught:
        config.check(read)
    assert f"[service] cdn_url = 'http://cdn/x'  ({tmp_path / 'airflow.cfg'})" in str(caught.value)
    [problem] = findings
    assert "browsers block it" in problem
    config.check(_read(tmp_path, cfg.replace("https://flow", "http://flow")))


def _long(text: str) -> str:
    if len(text) < 32:
        raise ValueError("it is too short")
    return text


@dataclass(frozen=True, slots=True)
class _Keys:
    signing_key: str = declare(
        Option(parse=_long, allowed="", description="", since="", default="k" * 32, secret=True)
    )


def test_secret_options_are_masked_and_may_come_from_a_command(tmp_path: Path) -> None:
    """An option that is marked as secret shows neither right nor wrong values."""
    with pytest.raises(WrongSettings) as caught:
        config.read_section(_read(tmp_path, "[s]\nsigning_key = hunter2\n"), "s", _Keys)
    assert "= ***" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    section = config.read_section(_read(tmp_path, f"[s]\nsigning_key_cmd = printf {'x' * 32}\n"), "s", _Keys)
    assert section.settings.signing_key == "x" * 32
    assert config.effective(section) == {"signing_key": "***"}
    with pytest.raises(WrongSettings, match="secrets backend"):
        config.read_section(_read(tmp_path, "[s]\nsigning_key_secret = path\n"), "s", _Keys)


def test_defaults_are_values_that_are_allowed() -> None:
    """Every option can parse its own default and says what it is for."""
    for name, option in declared(ServiceSettings).items():
        assert name == name.lower()
        assert option.allowed
        assert option.description
        assert option.since
        option.parse(option.default)


def test_the_start_is_refused_with_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 78, everything on standard error; `airflow version` is let through."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    monkeypatch.delenv("AIRFLOW_CONFIG", raising=False)
    start.stop_on_wrong_settings("webserver")
    monkeypatch.setenv("AIRFLOW__SERVICE__CLUSTER_ID", "a b")
    start.stop_on_wrong_settings("version")
    start.stop_on_wrong_settings("run")
    with pytest.raises(SystemExit) as caught:
        start.stop_on_wrong_settings("webserver")
    assert caught.value.code == EXIT_CONFIGURATION == 78
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("airflow webserver: not started")
    assert "airflow-service doctor" in err
