"""A log on S3: one append-only text, in a final object and the segments behind it.

    {relative}                        bytes [0, L) of the text; absent means L = 0
    {relative}.parts/{offset:020d}    a segment: the bytes from `offset` on

The text is the final object, then the segment at L, then the one behind that, until there
is none. A segment below L is within the final object already: left by a clean-up that was
cut short, never looked at, and deleted when somebody comes by. An offset in the text thus
stays true while segments are merged into the final object.
"""

from __future__ import annotations

from airflow_service.log_chain.chain import Chain, Piece
from airflow_service.log_chain.names import PARTS, segment, split
from airflow_service.log_chain.writing import LARGEST_SEGMENT, Writer

__all__ = ["LARGEST_SEGMENT", "PARTS", "Chain", "Piece", "Writer", "segment", "split"]
