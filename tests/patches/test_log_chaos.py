"""Processes are killed and S3 fails at random: every line is there, once, in order. The release loses some."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from airflow_process import PatchedAirflow
from harness.faulty_proxy import FaultyProxy, faulty_proxy
from harness.log_chaos import DAY, Chaos, Losses, Weather, compare, under, zygote
from harness.s3 import S3Server

_PROGRAM = Path(__file__).parents[1] / "harness" / "log_tasks.py"
SEED = 6


@contextmanager
def chaos(airflow: PatchedAirflow, proxy: FaultyProxy, kind: str, bucket: str, seed: int) -> Iterator[Chaos]:
    folder = airflow.home / kind
    for name in ("a", "b", "notes"):
        (folder / name).mkdir(parents=True)
    url = f"s3://{bucket}/{kind}"
    environment = airflow.environment(
        AIRFLOW__CORE__REMOTE_LOGGING="True",
        AIRFLOW__CORE__REMOTE_BASE_LOG_FOLDER=url,
        AIRFLOW__SERVICE__LOGS_ENDPOINT_URL=proxy.url,
        # The release's handler takes a connection, ours the environment's keys.
        AIRFLOW__CORE__REMOTE_LOG_CONN_ID="logs" if kind == "released" else "",
        AIRFLOW_CONN_LOGS=f"s3://admin:admin-secret@/?host={quote(proxy.url, safe='')}",
        AWS_ACCESS_KEY_ID="admin",
        AWS_SECRET_ACCESS_KEY="admin-secret",
        AWS_DEFAULT_REGION="us-east-1",
        AWS_EC2_METADATA_DISABLED="true",
    )
    argv = [str(airflow.interpreter), str(_PROGRAM), kind]
    with zygote(argv, environment, folder / "errors") as made:
        yield Chaos(folder, url, random.Random(seed), made, sweeps=kind == "ours")


def texts(s3: S3Server, bucket: str, prefix: str) -> dict[str, bytes]:
    """The finished logs by their tasks.

    What a delete that was refused left behind is within them: at its place, or elsewhere if the text had
    grown beyond that place before, so that the piece was added again behind it.
    """
    found = s3.objects(bucket, prefix)
    for key in [key for key in found if ".parts/" in key]:
        log, _, offset = key.partition(".parts/")
        segment = found.pop(key)
        assert segment in found[log], f"{key}: {segment[:200]!r}"
        assert int(offset) < len(found[log]) or not segment, f"{key} is no left-over: the text goes on with it"
    return {key.removeprefix(f"{prefix}/dag/").partition("/")[0]: text for key, text in found.items()}


def test_what_is_compared() -> None:
    """A line behind half of another, whose process was killed in its middle, is there; the half is not."""
    half = b"t3.1/task/0000/xxx"
    said = {"t3.1.task": ["t3.1/task/0000/"], "t3.1.supervisor": ["t3.1/supervisor/0000/", "t3.1/supervisor/0001/"]}
    whole = b"t3.1/supervisor/0000/.\n" + half + b"t3.1/supervisor/0001/xx.\n"
    found = compare(said, {"t3": whole})
    assert (found.missing, found.doubled, found.disordered) == (["t3.1/task/0000/"], [], [])
    found = compare(said, {"t3": whole + whole[:-2]})
    assert found.doubled == ["t3.1/supervisor/0000/"]
    assert found.disordered == ["t3.1.supervisor"]


def test_nothing_is_lost(airflow: PatchedAirflow, s3: S3Server, thorough: bool) -> None:
    """Tasks are killed, sweeps are killed, requests fail: then each log on S3 has each line once, in order."""
    bucket = s3.bucket()
    weather = Weather(random.Random(SEED))
    with faulty_proxy(s3.url) as proxy:
        under(weather, proxy)
        with chaos(airflow, proxy, "ours", bucket, SEED) as run:
            run.at_once = 16 if thorough else 6
            run.go(200 if thorough else 10)
            weather.calm = True
            run.sweep_until_quiet()
        losses = compare(run.said(), texts(s3, bucket, "ours"))
        print(
            f"{run.runs} runs, {run.kills} kills, {run.killed_sweeps} sweeps killed, {len(proxy.requests)} requests,"
            f" {losses.said} lines: {len(losses.missing)} missing, {len(losses.doubled)} doubled"
        )
        assert losses.said > (5000 if thorough else 200)
        assert (losses.missing, losses.doubled, losses.disordered) == ([], [], [])
        # What is on S3 is what is on disk, of both machines.
        for task, text in texts(s3, bucket, "ours").items():
            on_disk = [run.folder / host / "dag" / task / DAY / "1.log" for host in ("a", "b")]
            assert len(text) == sum(path.stat().st_size for path in on_disk if path.exists())
        assert "failed" not in (run.folder / "errors").read_text()


def test_the_release_loses_some(airflow: PatchedAirflow, s3: S3Server, thorough: bool) -> None:
    """Its handler, put through the same, loses lines that are then neither on S3 nor on disk."""
    bucket = s3.bucket()
    weather = Weather(random.Random(SEED))
    with faulty_proxy(s3.url) as proxy:
        under(weather, proxy)
        with chaos(airflow, proxy, "released", bucket, SEED) as run:
            # Faults and kills are random: it may be lucky for a while.
            tasks = 200 if thorough else 10
            for portion in range(6):
                run.go(tasks, first=portion * tasks)
                nowhere, not_there = _losses(run, texts(s3, bucket, "released"))
                if nowhere.missing:
                    break
        print(
            f"{run.runs} runs, {nowhere.said} lines: {len(not_there.missing)} not on S3,"
            f" {len(nowhere.missing)} nowhere, {len(not_there.doubled)} doubled"
        )
        assert nowhere.missing


def _losses(run: Chaos, found: dict[str, bytes]) -> tuple[Losses, Losses]:
    everywhere = dict(found)
    for path in run.folder.glob(f"[ab]/dag/*/{DAY}/1.log"):
        task = path.parents[1].name
        everywhere[task] = everywhere.get(task, b"") + path.read_bytes()
    return compare(run.said(), everywhere), compare(run.said(), found)
