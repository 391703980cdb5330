"""What can go wrong with a store, by what its caller can do about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

# Answers that say that the same request may do well later.
_LATER = frozenset(
    {"SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "OperationAborted", "Throttling",
     "ThrottlingException", "RequestLimitExceeded", "ConditionalRequestConflict", "BadDigest", "IncompleteBody",
     "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"}
)  # fmt: skip
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken"})
_DENIED = frozenset(
    {"AllAccessDisabled", "AccountProblem", "InvalidAccessKeyId", "SignatureDoesNotMatch",
     "KMS.DisabledException", "KMS.NotFoundException", "RequestTimeTooSkewed", "AuthorizationHeaderMalformed"}
)  # fmt: skip
_HINTS = {
    "RequestTimeTooSkewed": "this machine's clock is wrong",
    "AuthorizationHeaderMalformed": "the bucket is in another region: set [service] logs_region",
    "InvalidAccessKeyId": "the store does not know these credentials",
    "SignatureDoesNotMatch": "the secret key is wrong",
}


class StoreError(Exception):
    """A request that was not answered as it should be: the message says what was asked and answered."""


class NoBucket(StoreError):
    """The bucket does not exist."""


class Denied(StoreError):
    """The store refuses: a right is missing, or the credentials are wrong or missing."""


class NoObject(StoreError):
    """What a request was about does not exist."""


class NoRight(Denied):
    """The credentials are good, and lack a right. Without the right to list, also: there is no such object."""


class Expired(Denied):
    """The credentials were good, and are no more."""


class Exists(StoreError):
    """Something is under the name that was to be created."""


class Changed(StoreError):
    """The object is not the one that was to be replaced or read on."""


class Unreachable(StoreError):
    """No answer, half of one, or one that says to come back: the request may have been carried out."""


@contextmanager
def told(what: str) -> Iterator[None]:
    """Turn botocore's exceptions into ours; `what` is the request, as a reader is to see it."""
    from botocore import exceptions as botocore

    try:
        yield
    except botocore.ClientError as error:
        raise of_answer(what, error.response) from error
    except (botocore.NoCredentialsError, botocore.PartialCredentialsError) as error:
        raise Denied(f"{what}: no credentials were found on this machine ({error})") from error
    except (botocore.CredentialRetrievalError, botocore.TokenRetrievalError) as error:
        raise Unreachable(f"{what}: credentials could not be got: {error}") from error
    except botocore.UnauthorizedSSOTokenError as error:
        raise Expired(f"{what}: {error}") from error
    except (
        botocore.ConnectionError,
        botocore.HTTPClientError,
        botocore.IncompleteReadError,
        botocore.FlexibleChecksumError,
    ) as error:
        raise Unreachable(f"{what}: {error}") from error
    except botocore.BotoCoreError as error:
        raise StoreError(f"{what}: {error}") from error
    except RuntimeError as error:
        # botocore's own, for credentials that had expired when they came.
        raise Expired(f"{what}: {error}") from error
    except (OSError, EOFError) as error:
        # urllib3's own, when an answer ends in its middle, are among them.
        raise Unreachable(f"{what}: {type(error).__name__}: {error}") from error


def field_of(answer: Mapping[str, Any], name: str, what: str) -> Any:
    """What every answer of a store has. One without it is somebody else's, such as a proxy's page: Unreachable."""
    if name not in answer:
        raise Unreachable(f"{what}: the answer has no {name}: it is not a store's")
    return answer[name]


def of_answer(what: str, response: dict[str, Any]) -> StoreError:
    """The error that an answer stands for."""
    error = response.get("Error", {})
    code = str(error.get("Code", ""))
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    hint = f": {_HINTS[code]}" if code in _HINTS else ""
    message = f"{what}: the store answered {status} {code} ({error.get('Message', '')}){hint}"
    return _kind(code, status)(message)


def _kind(code: str, status: int) -> type[StoreError]:
    if code == "NoSuchBucket":
        return NoBucket
    if code == "NoSuchKey":
        return NoObject
    if code in _EXPIRED:
        return Expired
    if code in _LATER or status >= 500 or status in (408, 409, 429):
        return Unreachable
    if code == "AccessDenied":
        return NoRight
    if code in _DENIED or status in (401, 403):
        return Denied
    # An upload that is gone was completed, perhaps by a request whose answer was lost; or aborted.
    if code in ("PreconditionFailed", "NoSuchUpload") or status == 412:
        return Changed
    return StoreError
