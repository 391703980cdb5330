"""The last page of a log on a local S3 server: of 1 GB and of 1 MB, in one object and in live segments.

Beside it what the released handler does for each look: it asks whether the object is there and reads
all of it. Both run in one process, in turn, with the same credentials.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.publish import store
from benchmarks.table import Row, show
from builder.bootstrap import ensure_environment

ROOT = Path(__file__).resolve().parent.parent

# Run by the tests' environment, which has boto3, with the overlay on its path.
_MEASURE = r"""
import json, random, sys, time
import boto3
from airflow_service.log_chain import segment
from airflow_service.log_reading.extents import Memory
from airflow_service.log_reading.reader import Cursor, Reader
from airflow_service.log_reading.stored import StoredText
from airflow_service.object_store import open_store
from airflow_service.object_store.options import StoreOptions

endpoint, bucket, runs, big = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
small = 1_000_000
store = open_store(f"s3://{bucket}/logs", StoreOptions(logs_endpoint_url=endpoint, logs_region="us-east-1"))
client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
block = b"".join(b"%07d a line of a log, as long as many are, which is about a hundred characters ......\n" % n
                 for n in range(100_000))

def piece(size):
    return (block * (size // len(block) + 1))[:size]

# What is large is copied within the store, from this: sent, a gigabyte would take minutes.
template = piece(64_000_000)
client.put_object(Bucket=bucket, Key="template", Body=template)

def whole(name, size):
    place = {"Bucket": bucket, "Key": f"logs/{name}"}
    upload = client.create_multipart_upload(**place)["UploadId"]
    parts = []
    for number, at in enumerate(range(0, size, len(template)), 1):
        done = client.upload_part_copy(
            **place, UploadId=upload, PartNumber=number, CopySource={"Bucket": bucket, "Key": "template"},
            CopySourceRange=f"bytes=0-{min(len(template), size - at) - 1}")
        parts.append({"PartNumber": number, "ETag": done["CopyPartResult"]["ETag"]})
    client.complete_multipart_upload(**place, UploadId=upload, MultipartUpload={"Parts": parts})
    assert store.head(name).size == size

def live(name, size, each):
    first = segment(name, 0)
    store.create(first, piece(each))
    for at in range(each, size, each):
        if size - at < each:
            store.create(segment(name, at), piece(size - at))
        else:
            client.copy_object(Bucket=bucket, Key=f"logs/{segment(name, at)}",
                               CopySource={"Bucket": bucket, "Key": f"logs/{first}"})

begun = time.perf_counter()
whole("big.log", big)
whole("small.log", small)
# The server reads a block of up to 8 MB to give a part of it: this log's last one is as large as the big one's.
whole("block.log", 8_000_000)
live("live-big.log", big, 2_500_000)
live("live-small.log", small, 2_500)
print(f"the logs were made in {time.perf_counter() - begun:.1f} s", file=sys.stderr)

def last(name):
    look = Reader([StoredText(store, name, Memory())]).last()
    assert look.page is not None, look.trouble
    return look

def follow(name, memory, cursor):
    look = Reader([StoredText(store, name, memory)]).after(cursor, goes_on=True)
    assert not look.trouble

def released(name):
    # S3TaskHandler._read of 1.10.15: get_key (a HEAD), then read_key, which gets and decodes all.
    resource = boto3.resource("s3", endpoint_url=endpoint, region_name="us-east-1")
    resource.Object(bucket, f"logs/{name}").load()
    resource.Object(bucket, f"logs/{name}").get()["Body"].read().decode("utf-8")

memory = Memory()
cursors = {}
for name in ("live-big.log", "live-small.log"):
    cursors[name] = Reader([StoredText(store, name, memory)]).last().cursor
work = {
    "big": lambda: last("big.log"), "small": lambda: last("small.log"),
    "block": lambda: last("block.log"),
    "live-big": lambda: last("live-big.log"), "live-small": lambda: last("live-small.log"),
    "follow-big": lambda: follow("live-big.log", memory, cursors["live-big.log"]),
    "follow-small": lambda: follow("live-small.log", memory, cursors["live-small.log"]),
}
times = {name: [] for name in [*work, "released-big", "released-small"]}
def timed(name, call):
    start = time.perf_counter()
    call()
    times[name].append(time.perf_counter() - start)
for run in range(3):
    # Twice a gigabyte of memory, and many seconds.
    timed("released-big", lambda: released("big.log"))
work["released-small"] = lambda: released("small.log")
shuffled = random.Random(0)
for run in range(runs + 1):
    # In another order each time: what one leaves behind in memory, another one pays for.
    for name in shuffled.sample(list(work), len(work)):
        timed(name, work[name])
# The first round fills what caches there are.
print(json.dumps({name: all[1:] for name, all in times.items()}))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15, help="of each (default: 15)")
    parser.add_argument("--size", type=int, default=1_000_000_000, help="bytes of the big log (default: 1 GB)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, store() as (endpoint, bucket, keys):
        environment = {**os.environ, **keys, "PYTHONPATH": str(ROOT / "overlay"), "AIRFLOW_HOME": home}
        argv = [str(ensure_environment("test")), "-c", _MEASURE, endpoint, bucket]
        argv += [str(arguments.runs), str(arguments.size)]
        done = subprocess.run(argv, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    times: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    shown = {name: [1000 * one for one in seconds] for name, seconds in times.items()}
    rows = [
        Row("last page of 1 GB / of 1 MB", shown["big"], shown["small"], 1.5, "ms"),
        Row("last page of 1 GB / of 8 MB", shown["big"], shown["block"], 1.5, "ms"),
        Row("1 GB / 1 MB, live: 400 segments each", shown["live-big"], shown["live-small"], 1.5, "ms"),
        Row("a look of who follows, live", shown["follow-big"], shown["follow-small"], 1.5, "ms"),
        Row("1 GB: ours / the released handler", shown["big"], shown["released-big"], 0.1, "ms"),
        Row("1 MB: ours / the released handler", shown["small"], shown["released-small"], None, "ms"),
        Row("released: a look at 1 GB / at 1 MB", shown["released-big"], shown["released-small"], None, "ms"),
    ]
    notes = {"runs": str(arguments.runs), "bytes of the big log": str(arguments.size)}
    return show("The last page of a log", rows, notes, ROOT / ".build" / "benchmarks" / "log_pages.svg")


if __name__ == "__main__":
    sys.exit(main())
