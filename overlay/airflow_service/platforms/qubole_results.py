"""The results of a Qubole command, written into a file.

As the SDK's `get_results`, which fetches results that lie in S3 by functions that
boto3 does not have, and writes text into binary files.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Callable, Iterator
from typing import Any

from qds_sdk.account import Account
from qds_sdk.qubole import Qubole

_PLACE = re.compile(r"s3://([^/]+)/(.*)", re.DOTALL)
_PIECE = 1 << 20
# Qubole's own separator of columns in files.
_SEPARATOR = b"\x01"


def write_results(
    command: Any, file: Any, inline: bool = True, delim: str | None = None, fetch: bool = True
) -> None:
    """Write a command's results into a file, of text or of bytes.

    Without `fetch`, results that are not inline are named by their places in S3,
    joined by commas. `delim` replaces the separator of columns in files of S3.
    """
    agent = Qubole.agent()
    # Qubole takes the text of a Python bool.
    query = {"inline": inline, "include_headers": "false"}
    answer = agent.get(command.meta_data["results_resource"], query)
    write = _writer(file)
    if answer.get("inline"):
        write(answer["results"].encode())
    elif fetch:
        store = _store(agent.get(Account.credentials_rest_entity_path))
        for place in answer["result_location"]:
            for piece in _pieces(store, place):
                write(piece if delim is None else piece.replace(_SEPARATOR, delim.encode()))
    else:
        write(",".join(answer["result_location"]).encode())


def _writer(file: Any) -> Callable[[bytes], object]:
    """Give what writes bytes into a file, whatever it is of."""
    if not isinstance(file, io.TextIOBase):
        write: Callable[[bytes], object] = file.write
        return write
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    return lambda piece: file.write(decoder.decode(piece))


def _store(credentials: dict[str, str | None]) -> Any:
    """Give a client of the account's own storage."""
    import boto3

    host = credentials.get("region_endpoint")
    return boto3.client(
        "s3",
        aws_access_key_id=credentials["storage_access_key"],
        aws_secret_access_key=credentials["storage_secret_key"],
        aws_session_token=credentials.get("session_token"),
        endpoint_url=(host if "://" in host else f"https://{host}") if host else None,
    )


def _pieces(store: Any, place: str) -> Iterator[bytes]:
    """Read an object, or all below a folder in the order of their names. Raises ValueError for any other place."""
    match = _PLACE.fullmatch(place)
    if match is None:
        raise ValueError(f"the results are at {place!r}, which is not in S3")
    bucket, key = match[1], match[2]
    keys = [key]
    if key == "" or key.endswith("/"):
        pages = store.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key)
        found = (entry["Key"] for page in pages for entry in page.get("Contents", ()))
        # Hadoop marks folders so.
        keys = [each for each in found if not each.endswith(("$folder$", "/"))]
    for each in keys:
        yield from store.get_object(Bucket=bucket, Key=each)["Body"].iter_chunks(_PIECE)
