"""The keys of `[service]` that say how logs reach S3."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath

from airflow_service import validators
from airflow_service.declarations import Option, declare

_ROLE = re.compile(r"arn:[a-z0-9-]+:iam::[0-9]{12}:role/[!-~]{1,512}")
_REGION = re.compile(r"[a-z0-9-]{1,64}")
_WORD = re.compile(r"[!-~]{0,2048}")
_STORAGE_CLASS = re.compile(r"[A-Z0-9_]{0,40}")
_ENCRYPTIONS = ("", "AES256", "aws:kms")


def absolute_path(text: str) -> str:
    """A file's path, or nothing."""
    if text and not PurePath(text).is_absolute():
        raise ValueError("it is no absolute path")
    return text


def word(text: str) -> str:
    """Text without spaces and control characters, or nothing."""
    if not _WORD.fullmatch(text):
        raise ValueError("it holds a space or another character that is not allowed, or is too long")
    return text


def role(text: str) -> str:
    """The ARN of a role, or nothing."""
    if text and not _ROLE.fullmatch(text):
        raise ValueError("it is no ARN of a role")
    return text


def region(text: str) -> str:
    """A region's name, or nothing."""
    if text and not _REGION.fullmatch(text):
        raise ValueError("it is no name of a region")
    return text


def endpoint(text: str) -> str:
    """A URL without a slash at its end, or nothing."""
    return validators.web_url(text).geturl().rstrip("/") if text else ""


def encryption(text: str) -> str:
    """What S3 calls ServerSideEncryption, or nothing."""
    if text not in _ENCRYPTIONS:
        raise ValueError("it is none of these")
    return text


def storage_class(text: str) -> str:
    """What S3 calls StorageClass, or nothing. Those that have to be restored first are refused."""
    if not _STORAGE_CLASS.fullmatch(text):
        raise ValueError("it holds other characters, or is too long")
    if text in ("GLACIER", "DEEP_ARCHIVE"):
        raise ValueError("its objects cannot be read at once, and logs are")
    return text


# Without slots: a class can inherit them from one of its bases only.
@dataclass(frozen=True)
class StoreOptions:
    """Credentials, endpoint, and how objects are stored."""

    logs_profile: str = declare(
        Option(
            parse=word,
            allowed="the name of a profile, or nothing",
            description="The profile of the AWS configuration whose credentials reach the logs on S3. Without it they\n"
            "are found as the AWS tools do: environment, profile, web identity, container, instance role.",
            since="1.10.15+svc.1",
        )
    )
    logs_credentials_file: str = declare(
        Option(
            parse=absolute_path,
            allowed="an absolute path, or nothing",
            description="A file of credentials, as ~/.aws/credentials is one, that is read in place of all others.",
            since="1.10.15+svc.1",
        )
    )
    logs_role_arn: str = declare(
        Option(
            parse=role,
            allowed="the ARN of a role, or nothing",
            description="A role that is assumed, with the credentials that were found, to reach the logs on S3.",
            since="1.10.15+svc.1",
        )
    )
    logs_region: str = declare(
        Option(
            parse=region,
            allowed="the name of a region, or nothing",
            description="The region of the bucket of logs. Without it the one of the AWS configuration.",
            since="1.10.15+svc.1",
        )
    )
    logs_endpoint_url: str = declare(
        Option(
            parse=endpoint,
            allowed="an absolute http or https URL, or nothing",
            description="Where the S3 protocol is spoken, if not at AWS: buckets are then in the path.",
            since="1.10.15+svc.1",
        )
    )
    logs_encryption: str = declare(
        Option(
            parse=encryption,
            allowed="AES256, aws:kms, or nothing",
            description="What S3 is asked to encrypt logs with. Without it the bucket's own default, or AES256 if\n"
            "`[core] encrypt_s3_logs` is True.",
            since="1.10.15+svc.1",
        )
    )
    logs_kms_key: str = declare(
        Option(
            parse=word,
            allowed="the id or ARN of a key, or nothing",
            description="The key for `logs_encryption = aws:kms`. Without it the account's default key.",
            since="1.10.15+svc.1",
        )
    )
    logs_storage_class: str = declare(
        Option(
            parse=storage_class,
            allowed="a storage class whose objects can be read at once, or nothing",
            description="The storage class of finished logs, such as STANDARD_IA. Without it the standard one.",
            since="1.10.15+svc.1",
        )
    )
