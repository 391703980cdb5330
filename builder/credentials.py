"""Who asks the S3 store: found as boto3 finds it, by botocore itself.

In its order: the environment, the files in ~/.aws with their profiles, SSO and
assumed roles, a web identity, the container's role, the machine's role.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from builder.errors import NoCredentials, StorageFailure

if TYPE_CHECKING:
    from obstore.store import S3Credential

DEFAULT_REGION = "us-east-1"
_ASK_AGAIN = timedelta(minutes=5)
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")


@dataclass(frozen=True, slots=True)
class Identity:
    """What signs the requests; `provider` gives the keys anew when they expire."""

    region: str
    provider: Callable[[], S3Credential]


def find_identity(region: str | None = None) -> Identity:
    """The user's or the machine's identity. Raises NoCredentials."""
    region = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    key, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    # What botocore would say first, too, without the 150 ms that it takes to import.
    if key and secret and not os.environ.get("AWS_PROFILE"):
        token = os.environ.get("AWS_SESSION_TOKEN") or None
        given: S3Credential = {
            "access_key_id": key, "secret_access_key": secret, "token": token, "expires_at": None,
        }  # fmt: skip
        return Identity(region or _region_of_files() or DEFAULT_REGION, lambda: given)
    return _ask_botocore(region)


def configured_endpoint() -> str | None:
    """The store that the AWS tools would ask: by the environment, or by `endpoint_url` of a profile.

    Raises NoCredentials if the profile that AWS_PROFILE names does not exist.
    """
    named = next(filter(None, map(os.environ.get, _ENDPOINTS)), None)
    if named is None and not _config_file_exists():
        return None
    ignored = os.environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true"
    return None if ignored else named or _endpoint_of_files()


def trusted_certificates() -> bytes | None:
    """More certificates that the store's may be signed by, in PEM: of AWS_CA_BUNDLE, or the profile's `ca_bundle`.

    None if neither is set. Raises StorageFailure if the file cannot be read or has none.
    """
    name = os.environ.get("AWS_CA_BUNDLE") or (_ca_bundle_of_files() if _config_file_exists() else None)
    if not name:
        return None
    try:
        content = Path(name).expanduser().read_bytes()
        problem = "" if b"-----BEGIN CERTIFICATE-----" in content else "it holds no certificate in PEM"
    except OSError as error:
        content, problem = b"", error.strerror or str(error)
    if problem:
        raise StorageFailure(
            f"cannot read the certificates in {name}: {problem}",
            cause="AWS_CA_BUNDLE, or ca_bundle of ~/.aws/config, names another file",
            next_step="give it the certificate of the authority that signed the store's, in PEM",
        )
    return content


def _ca_bundle_of_files() -> str | None:
    from botocore.exceptions import BotoCoreError
    from botocore.session import Session

    try:
        bundle: str | None = Session().get_config_variable("ca_bundle")
    except BotoCoreError as error:
        raise _none_found(f"the profile for the S3 store cannot be read: {error}") from None
    return bundle


def _config_file_exists() -> bool:
    return Path(os.environ.get("AWS_CONFIG_FILE") or "~/.aws/config").expanduser().exists()


def _endpoint_of_files() -> str | None:
    from botocore.configprovider import ConfiguredEndpointProvider
    from botocore.exceptions import BotoCoreError
    from botocore.session import Session

    session = Session()
    try:
        if session.get_config_variable("ignore_configured_endpoint_urls"):
            return None
        provider = ConfiguredEndpointProvider(session.full_config, session.get_scoped_config(), "s3")
        endpoint: str | None = provider.provide()
    except BotoCoreError as error:
        raise _none_found(f"the profile for the S3 store cannot be read: {error}") from None
    return endpoint


def _region_of_files() -> str | None:
    if not _config_file_exists():
        return None
    from botocore.session import Session

    region: str | None = Session().get_config_variable("region")
    return region


def _ask_botocore(region: str | None) -> Identity:
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.session import Session

    session = Session()
    try:
        credentials: Any = session.get_credentials()
        region = region or session.get_config_variable("region") or DEFAULT_REGION
        if credentials is not None:
            credentials.get_frozen_credentials()
    except (BotoCoreError, ClientError) as error:
        raise _none_found(f"the credentials for the S3 store cannot be used: {error}") from None
    if credentials is None:
        raise _none_found("there are no credentials for the S3 store")

    def provide() -> S3Credential:
        # botocore renews what is about to expire; this has it asked again before that.
        frozen = credentials.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + _ASK_AGAIN,
        }

    return Identity(region, provide)


def _none_found(happened: str) -> NoCredentials:
    return NoCredentials(
        happened,
        cause="neither the environment, nor ~/.aws, nor the machine's role gives any; or AWS_PROFILE is misspelt",
        next_step="`aws sts get-caller-identity` shows what is found: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY, or give the machine a role",
    )
