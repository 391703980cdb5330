"""All checks, in the order in which their facts are shown."""

from __future__ import annotations

from airflow_service.doctor import assets, commands, database, gateway, network, plugins, settings
from airflow_service.doctor.findings import Check

ALL: tuple[Check, ...] = (
    settings.service_section,
    settings.distribution,
    assets.installation,
    settings.files,
    settings.folders,
    settings.executor,
    settings.secrets,
    settings.webserver,
    gateway.gateway,
    database.database,
    commands.commands,
    network.broker,
    assets.cdn,
    plugins.plugins,
)
