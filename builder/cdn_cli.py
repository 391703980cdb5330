"""The verbs of the CDN: publish, verify, prune. None of them touches what is built."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from builder.release import Release
from builder.workspace import Workspace

if TYPE_CHECKING:
    from builder.prune import Plan
    from builder.store import Store

Verb = Callable[..., argparse.ArgumentParser]
_PLACE = "s3://BUCKET/PREFIX"
# In seconds. All attempts of the last two requests must end within the time that others believe a mark.
_LONGEST_REQUEST = 300


def add_verbs(verb: Verb) -> None:
    """Add the three verbs to the command line's parser."""
    added = verb("publish", _publish, "upload the bundle of dist/ to the CDN's store", locked=False)
    added.add_argument("place", metavar=_PLACE)
    _add_store_options(added)
    _add_dist(added)
    added.add_argument(
        "--dry-run", action="store_true", help="show what would be uploaded, and store nothing"
    )
    added.add_argument(
        "--check", action="store_true", help="look at every object, also if the manifest is there already"
    )

    added = verb("verify", _verify, "read everything back through the CDN's own URL", locked=False)
    added.add_argument("url", metavar="URL", help="as in [service] cdn_url")
    _add_dist(added)
    added.add_argument("--version", metavar="VERSION", help="another version (default: the release's)")
    added.add_argument("--origin", metavar="URL", default="https://airflow.example", help="whose pages ask")
    added.add_argument(
        "--allow-uncompressed", action="store_true", help="no fault if the CDN does not compress"
    )
    _add_timeout(added)

    added = verb("prune", _prune, "remove from the store what no kept manifest names", locked=False)
    added.add_argument("place", metavar=_PLACE)
    _add_store_options(added)
    added.add_argument(
        "--keep", type=_count, default=3, metavar="N", help="newest manifests that stay (default: 3)"
    )
    added.add_argument(
        "--keep-version", action="append", default=[], metavar="VERSION",
        help="a version that stays, too, such as one that a cluster still runs; repeatable",
    )  # fmt: skip
    added.add_argument(
        "--older-than", type=_days, default=timedelta(days=7), metavar="DAYS",
        help="what is younger stays (default: 7)",
    )  # fmt: skip
    added.add_argument("--yes", action="store_true", help="remove without asking")
    added.add_argument("--dry-run", action="store_true", help="show what would go, and remove nothing")


def _add_store_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--endpoint-url", metavar="URL", help="of a store other than AWS's")
    parser.add_argument("--region", help="the bucket's (default: AWS_REGION, or the profile's)")
    _add_timeout(parser)


def _add_timeout(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--timeout", type=_seconds, default=30.0, metavar="SECONDS",
        help=f"of one request (default: 30, at most {_LONGEST_REQUEST})",
    )  # fmt: skip


def _add_dist(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dist", type=Path, metavar="FOLDER", help="where the outputs of a build are (default: dist/)"
    )


def _seconds(text: str) -> float:
    value = float(text)
    if not 0.1 <= value <= _LONGEST_REQUEST:
        raise ValueError
    return value


def _days(text: str) -> timedelta:
    value = float(text)
    if not 0 <= value <= 36500:
        raise ValueError
    return timedelta(days=value)


def _count(text: str) -> int:
    value = int(text)
    # Without any manifest, every asset would be one that nothing names.
    if value < 1:
        raise ValueError
    return value


def _store(arguments: argparse.Namespace) -> Store:
    from builder.credentials import configured_endpoint, find_identity, trusted_certificates
    from builder.store import Place, Store, check_endpoint

    place = Place.parse(arguments.place)
    endpoint = check_endpoint(arguments.endpoint_url or configured_endpoint())
    return Store(place, find_identity(arguments.region), endpoint, arguments.timeout, trusted_certificates())


def _publish(workspace: Workspace, release: Release, arguments: argparse.Namespace) -> int:
    from builder.cdn_bundle import read_dist
    from builder.publish import publish

    bundle = read_dist(arguments.dist or workspace.dist, release.full_version)
    store = _store(arguments)
    done = publish(bundle, store, check=arguments.check, dry_run=arguments.dry_run)
    what = f"{release.full_version} {'to' if done.uploaded else 'in'} {done.place}"
    if arguments.dry_run:
        print("\n".join(f"{len(one.content):>10,}  {one.key}" for one in done.uploaded))
        print(
            f"would publish {what}: {len(done.uploaded)} objects, {done.size:,} bytes; {done.kept} are there"
        )
    elif not done.uploaded:
        print(f"nothing to do: {what} is there already")
    else:
        print(f"published {what}: {len(done.uploaded)} objects, {done.size:,} bytes; {done.kept} were there")
    if store.retries:
        print(f"{store.retries} requests had to be repeated", file=sys.stderr)
    return 0


def _verify(workspace: Workspace, release: Release, arguments: argparse.Namespace) -> int:
    from builder.cdn_bundle import read_dist
    from builder.cdn_client import Cdn
    from builder.verify import verify

    version = arguments.version or release.full_version
    dist: Path = arguments.dist or workspace.dist
    there = arguments.dist or (dist / f"manifest-{version}.json").exists()
    ours = read_dist(dist, version).manifest if there else None
    with closing(Cdn(arguments.url, arguments.timeout)) as cdn:
        done = verify(
            cdn, version, ours, origin=arguments.origin, compressed=not arguments.allow_uncompressed
        )
    print("\n".join((*done.notes, f"{cdn.url} serves {done.version} as published: {done.objects} objects")))
    return 0


def _prune(workspace: Workspace, release: Release, arguments: argparse.Namespace) -> int:
    from builder.cdn_layout import manifest_key
    from builder.errors import NoSuchPlace
    from builder.prune import Rules, prune

    rules = Rules(
        arguments.keep, frozenset({release.full_version, *arguments.keep_version}), arguments.older_than
    )
    store = _store(arguments)
    for version in arguments.keep_version:
        if store.get(manifest_key(version)) is None:
            raise NoSuchPlace(
                f"{store.place.url(manifest_key(version))} is not there, and was to be kept; nothing was removed",
                cause="a version that is misspelt, or was never published here",
                next_step="name the versions as `airflow version` prints them",
            )

    def agreed(shown: Plan) -> bool:
        print(shown.as_text(), flush=True)
        if arguments.dry_run or arguments.yes:
            return bool(arguments.yes and not arguments.dry_run)
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            print("nothing was removed: nobody is here to ask; --yes removes", file=sys.stderr)
            return False
        print("remove these? [y/N] ", end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    shown, removed = prune(store, rules, datetime.now(UTC), agreed)
    if not shown.removed:
        print(
            f"nothing to remove: {len(shown.kept)} manifests stay, {shown.spared} loose objects are too young"
        )
    elif removed:
        print(f"removed {len(shown.manifests)} manifests and {len(shown.assets)} objects")
    return 0
