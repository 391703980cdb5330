"""Make a store from settings: credentials, endpoint, time-outs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_service.errors import Fault, WrongSettings
from airflow_service.object_store.errors import Denied
from airflow_service.object_store.location import Location
from airflow_service.object_store.store import ObjectStore
from airflow_service.sources import Configuration
from airflow_service.validators import boolean

if TYPE_CHECKING:
    from airflow_service.object_store.options import StoreOptions

CONNECT_TIMEOUT = 3
"""Seconds until a connection stands."""
READ_TIMEOUT = 15
"""Seconds without a byte of an answer."""
ATTEMPTS = 3
_SESSION_NAME = "airflow-service-logs"


def log_store(
    settings: StoreOptions | None = None, configuration: Configuration | None = None
) -> ObjectStore:
    """The store of `[core] remote_base_log_folder`. Raises WrongSettings."""
    from airflow_service.config import read_service_section  # which reads these settings among others

    configuration = configuration or Configuration.read()
    settings = settings or read_service_section(configuration).settings
    folder = configuration.get("core", "remote_base_log_folder")
    connection = configuration.get("core", "remote_log_conn_id")
    encrypt = configuration.get("core", "encrypt_s3_logs")
    url = folder.text if folder else ""
    try:
        Location.parse(url)
    except ValueError as error:
        source = folder.source if folder else "default"
        fault = Fault(
            "core", "remote_base_log_folder", repr(url), f"{error}; allowed: s3://bucket/prefix", source
        )
        raise WrongSettings([fault]) from None
    return open_store(
        url,
        settings,
        connection_id=connection.text if connection else "",
        encrypted=bool(encrypt and boolean(encrypt.text)),
    )


def open_store(
    url: str, settings: StoreOptions, *, connection_id: str = "", encrypted: bool = False
) -> ObjectStore:
    """A store for the folder `s3://bucket/prefix`; ValueError if that is none.

    `connection_id` names an Airflow Connection to take credentials from. `encrypted` asks for
    AES256 where the settings say nothing of encryption. Nothing is asked of the store yet.
    """
    return ObjectStore(
        Location.parse(url), lambda: make_client(settings, connection_id), written_with(settings, encrypted)
    )


def written_with(settings: StoreOptions, encrypted: bool = False) -> dict[str, str]:
    """The parameters of each write."""
    parameters = {"ChecksumAlgorithm": "CRC32"}
    if encryption := settings.logs_encryption or ("AES256" if encrypted else ""):
        parameters["ServerSideEncryption"] = encryption
        if encryption == "aws:kms" and settings.logs_kms_key:
            parameters["SSEKMSKeyId"] = settings.logs_kms_key
    if settings.logs_storage_class:
        parameters["StorageClass"] = settings.logs_storage_class
    return parameters


def make_client(settings: StoreOptions, connection_id: str = "") -> Any:
    """botocore's S3 client: boto3's own clients are these."""
    import boto3
    from botocore.config import Config

    session = _session(settings, connection_id)
    endpoint = settings.logs_endpoint_url or None
    config = Config(tcp_keepalive=True, s3={"addressing_style": "path"} if endpoint else {})
    return boto3.session.Session(botocore_session=session).client(
        "s3", region_name=settings.logs_region or None, endpoint_url=endpoint, config=config
    )


def _session(settings: StoreOptions, connection_id: str) -> Any:
    from botocore.config import Config
    from botocore.session import Session

    profile = settings.logs_profile or ("default" if settings.logs_credentials_file else None)
    # A profile that is named wins over the environment's keys.
    session = Session(profile=profile)
    # For STS, too, which the chain may ask for credentials: botocore itself would wait for minutes.
    session.set_default_client_config(
        Config(
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=READ_TIMEOUT,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        )
    )
    if settings.logs_credentials_file:
        session.set_config_variable("credentials_file", settings.logs_credentials_file)
    if connection_id:
        _use_connection(session, connection_id)
    if settings.logs_role_arn:
        _assume(session, settings)
    return session


def _use_connection(session: Any, connection_id: str) -> None:
    """Upstream's form: key and secret as login and password, or in the extras."""
    from airflow.hooks.base_hook import BaseHook

    try:
        connection = BaseHook.get_connection(connection_id)
    except Exception as error:  # of whichever secrets backend, or of the database
        raise Denied(f"[core] remote_log_conn_id: the Connection {connection_id!r} cannot be had: {error}") from error
    extra = connection.extra_dejson
    key = connection.login or extra.get("aws_access_key_id")
    secret = connection.password or extra.get("aws_secret_access_key")
    if key and secret:
        session.set_credentials(key, secret, extra.get("aws_session_token"))


def _assume(session: Any, settings: StoreOptions) -> None:
    from botocore.credentials import (
        AssumeRoleCredentialFetcher,
        CredentialProvider,
        CredentialResolver,
        DeferredRefreshableCredentials,
    )

    source = session.get_credentials()
    region = settings.logs_region or session.get_config_variable("region") or "us-east-1"

    def client(service: str, **parameters: Any) -> Any:
        return session.create_client(service, region_name=region, **parameters)

    fetcher = AssumeRoleCredentialFetcher(
        client, source, settings.logs_role_arn, extra_args={"RoleSessionName": _SESSION_NAME}
    )

    class Role(CredentialProvider):  # type: ignore[misc]  # botocore has no types
        METHOD = "assume-role"

        def load(self) -> Any:
            return DeferredRefreshableCredentials(fetcher.fetch_credentials, self.METHOD)

    session.register_component("credential_provider", CredentialResolver([Role()]))
    # What was found before would be kept otherwise.
    session._credentials = None
