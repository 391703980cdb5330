"""What an S3 store's refusal means: which kind of failure, and whether it may pass."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.errors import (
    BuildError,
    NoCredentials,
    NoSuchPlace,
    StoreDenied,
    StoreFull,
    StoreUnavailable,
)

if TYPE_CHECKING:
    from builder.store import Store

# obstore has no fields for these; its message quotes the answer.
_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w+)</Code>|\(code: (\w+)\)")
_MESSAGE = re.compile(r"<Message>([^<]*)</Message>")
# Without an answer, the innermost of the causes says most.
_REASON = re.compile(r'message: "([^"]+)"|error: "([^"]+)"|^\s*kind: (\w+),$|"((?:dns|tcp)[^"]+)"', re.M)
# rustls' word for what it has against the server's certificate.
_CERTIFICATE = re.compile(r"InvalidCertificate\((?:\s|Other\(|OtherError\()*(\w+)")

_NO_BUCKET = {"NoSuchBucket", "InvalidBucketName"}
_OTHER_REGION = {"AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException"}
_BAD_KEYS = {
    "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "ExpiredTokenException", "InvalidToken",
    "TokenRefreshRequired", "RequestTimeTooSkewed",
}  # fmt: skip
_FULL = {
    "QuotaExceeded",
    "InsufficientStorage",
    "InsufficientCapacity",
    "XMinioStorageFull",
    "BucketQuotaExceeded",
}
# Refusals that the next attempt may not meet: a body that the way changed, a race, haste.
_PASSING = {
    "BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody", "RequestTimeout", "InvalidDigest",
    "ConditionalRequestConflict", "OperationAborted", "SlowDown", "TooManyRequests",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed request. `status` is HTTP's, 0 without an answer; `code` is S3's word."""

    status: int
    code: str
    said: str
    certificate: str = ""
    """What is wrong with the store's certificate, if that is why there is no answer."""

    @property
    def passing(self) -> bool:
        """Whether another attempt may do better."""
        if self.full or self.certificate:
            return False
        return (
            self.status in (0, 408, 409, 429)
            or self.code in _PASSING
            or (self.status in range(500, 600) and self.status != 501)
        )

    @property
    def full(self) -> bool:
        return self.status == 507 or self.code in _FULL

    def error(self, what: str, store: Store, attempts: int) -> BuildError:
        """The failure to tell, of what was tried so often."""
        happened = f"cannot {what}"
        evidence = f"{self.status or 'no answer'} {self.code}: {self.said}".replace(" :", ":")
        where = store.endpoint or "the store"
        if self.code in _NO_BUCKET:
            return NoSuchPlace(
                f"the bucket {store.place.bucket} does not exist",
                detail=evidence,
                cause="a misspelt name, or the bucket of another account or store",
                next_step="`aws s3 ls` shows the buckets; for a store other than AWS's give --endpoint-url",
            )
        if self.code in _OTHER_REGION or self.status in range(300, 400) or "LOCATION" in self.said:
            return NoSuchPlace(
                f"the bucket {store.place.bucket} is in another region",
                detail=evidence,
                cause="AWS_REGION, or the profile, names a region that is not the bucket's",
                next_step=f"`aws s3api get-bucket-location --bucket {store.place.bucket}`, then --region",
            )
        if self.code in _BAD_KEYS:
            return NoCredentials(
                f"{where} does not accept the credentials",
                detail=evidence,
                cause="keys that expired or belong to another store, or a clock that is wrong",
                next_step="renew the credentials and run the same command again; it goes on from here",
            )
        if self.full:
            return StoreFull(
                f"{happened}: there is no room",
                detail=evidence,
                cause="a full disk of the store, or a quota that is used up",
                next_step="make room, or `./build.py prune`, and run the same command again; it goes on from here",
            )
        if self.certificate:
            return StoreUnavailable(
                f"{happened}: the certificate of {where} is not to be trusted",
                detail=self.certificate,
                cause="one that a private authority signed, that has expired, or is another host's",
                next_step="name the authority's certificate, in PEM, in AWS_CA_BUNDLE; or mend the store's",
            )
        if self.passing:
            return StoreUnavailable(
                f"{happened}: given up after {attempts} attempts",
                detail=evidence,
                cause="no network, a wrong --endpoint-url, or a store that is down or overloaded",
                next_step="run the same command again, it goes on from here; --timeout gives a slow store more time",
            )
        return StoreDenied(
            f"{happened}: {where} refuses it",
            detail=evidence,
            cause="a policy without s3:ListBucket, s3:GetObject, s3:PutObject (prune: s3:DeleteObject) for this key",
            next_step="docs/cdn.md has the policy; run the same command again, it goes on from here",
        )


def understand(error: BaseException) -> Failure:
    """What obstore, or Python, says of a failed request."""
    text = str(error)
    status, code, message = _STATUS.search(text), _CODE.search(text), _MESSAGE.search(text)
    if status or code:
        said = message[1] if message else text.partition("\n")[0].rpartition(": ")[2]
        return Failure(int(status[1]) if status else 400, (code[1] or code[2]) if code else "", said)
    if refused := _CERTIFICATE.search(text):
        return Failure(0, "", refused[1], refused[1])
    reasons = [next(filter(None, found)) for found in _REASON.findall(text)]
    first = text.partition("\n\nDebug")[0].rpartition(" - ")[2]
    return Failure(0, "", f"{first} ({reasons[-1]})" if reasons else first)
