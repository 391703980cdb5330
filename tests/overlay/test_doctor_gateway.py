"""Tests of airflow_service.doctor.gateway: what stands open, and gateways that cannot work."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow_service.doctor.findings import Finding, examine
from airflow_service.doctor.gateway import gateway
from airflow_service.sources import Configuration
from harness.assertions import Gateway, service_settings

GATEWAY = Gateway(("ES256",))


def _problems(home: Path, **environment: str) -> list[Finding]:
    environment = {"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False", **environment}
    report = examine(Configuration.read(environment), [gateway])
    assert not report.crashed
    return list(report.findings)


def test_a_gateway_that_works(tmp_path: Path) -> None:
    """Nothing to say."""
    assert _problems(tmp_path, **service_settings(GATEWAY.publish(tmp_path / "keys.json"))) == []
    assert _problems(tmp_path, **service_settings("https://keys.example/<kid>")) == []


@pytest.mark.parametrize(
    ("environment", "severity", "problem"),
    [
        ({}, "error", "Everybody who reaches the webserver may do everything"),
        ({"AIRFLOW__WEBSERVER__AUTHENTICATE": "True"}, "warning", "no gateway does"),
        ({"AIRFLOW__API__AUTH_BACKEND": "airflow_service.gateway"}, "error", "guards the API with the webserver only"),
        ({**service_settings("/nowhere/keys.json")}, "error", "keys are not there: /nowhere/keys.json"),
        ({**service_settings("https://k/<kid>"), "AIRFLOW__CORE__LOAD_EXAMPLES": "True"}, "error", "example DAGs"),
        ({**service_settings("http://127.0.0.1:9/keys")}, "error", "no answer"),
        ({**service_settings("/k", gateway_issuer="")}, "error", "[service] gateway_issuer: it is needed"),
    ],
)
def test_what_is_wrong(tmp_path: Path, environment: dict[str, str], severity: str, problem: str) -> None:
    """Loudly where anybody gets in, or nobody."""
    (found,) = _problems(tmp_path, **environment)
    assert found.severity == severity
    assert problem in found.problem


def test_a_gateway_beside_the_point(tmp_path: Path) -> None:
    """Keys for another algorithm; a webserver that can be reached past the gateway."""
    settings = service_settings(GATEWAY.publish(tmp_path / "keys.json"), gateway_algorithms="RS256")
    (found,) = _problems(tmp_path, **settings)
    assert "is for RS256" in found.problem
    settings = service_settings(tmp_path / "keys.json")
    (found,) = _problems(tmp_path, **settings, AIRFLOW__WEBSERVER__WEB_SERVER_HOST="0.0.0.0")
    assert "open to others" in found.problem
