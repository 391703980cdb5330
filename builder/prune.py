"""Remove from the store what no kept manifest names any more.

A manifest goes before its assets, so that no reader is sent to what is gone,
and nothing goes that was uploaded within a given time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from builder.cdn_layout import ASSETS, MANIFESTS, manifest_key
from builder.cdn_manifests import named_objects
from builder.errors import AssetError, StoreConflict
from builder.manifest import Manifest
from builder.parallel import in_parallel
from builder.progress import progress
from builder.store import Store, Stored
from builder.turns import PRUNING, Turn, turn

WORKERS = 16
# Deletions between two looks at the clock.
_BATCH = 200


@dataclass(frozen=True, slots=True)
class Rules:
    """What stays: the newest manifests, some versions by name, and what is young."""

    keep: int
    versions: frozenset[str]
    age: timedelta


@dataclass(frozen=True, slots=True)
class Plan:
    """What a prune would remove, and what stays."""

    manifests: tuple[Stored, ...]
    assets: tuple[Stored, ...]
    kept: tuple[Stored, ...]
    spared: int

    @property
    def removed(self) -> tuple[Stored, ...]:
        """Everything to remove, in the order in which it must go."""
        return (*self.manifests, *self.assets)

    def as_text(self) -> str:
        """The plan for people: kept manifests, then a line for each object that goes."""
        size = sum(one.size for one in self.removed)
        lines = [f"keep    {_line(one)}" for one in self.kept]
        lines += [f"remove  {_line(one)}" for one in self.removed]
        lines.append(
            f"{len(self.manifests)} manifests and {len(self.assets)} objects to remove, {size:,} bytes; "
            f"{self.spared} that nothing names are too young to go"
        )
        return "\n".join(lines)


def _line(one: Stored) -> str:
    return f"{one.modified:%Y-%m-%d %H:%M}  {one.size:>10,}  {one.key}"


def plan(store: Store, rules: Rules, now: datetime) -> Plan:
    """Find out what could go. Raises StoreConflict if a kept manifest cannot be read."""
    manifests = sorted(store.list(MANIFESTS).values(), key=lambda one: (one.modified, one.key), reverse=True)
    oldest = now - rules.age
    by_name = {manifest_key(version) for version in rules.versions}
    kept: list[Stored] = []
    gone: list[Stored] = []
    for place, one in enumerate(manifests):
        stays = place < rules.keep or one.key in by_name or one.modified > oldest
        (kept if stays else gone).append(one)
    # After the manifests: what a publisher stored before its manifest is in this listing.
    assets = store.list(ASSETS)
    named = _named(store, [one.key for one in kept])
    loose = [one for key, one in sorted(assets.items()) if key not in named]
    old = [one for one in loose if one.modified <= oldest]
    return Plan(tuple(gone), tuple(old), tuple(kept), len(loose) - len(old))


def _named(store: Store, keys: list[str]) -> set[str]:
    """The keys that the kept manifests name."""
    named: set[str] = set()
    for key, content in in_parallel(store.get, keys, WORKERS):
        try:
            named |= named_objects(Manifest.load(content or b""))
        except AssetError as error:
            raise StoreConflict(
                f"{store.place.url(key)} cannot be read, so what it names is unknown; nothing was removed",
                detail="\n".join(filter(None, (error.happened, error.detail))),
                cause="a manifest of a newer version of this build, or one that was damaged",
                next_step="prune with that version, or mend or delete the manifest",
            ) from None
    return named


def prune(store: Store, rules: Rules, now: datetime, agreed: Callable[[Plan], bool]) -> tuple[Plan, bool]:
    """Show what would go by asking `agreed`, then remove it; whether it was removed.

    What was agreed to is looked at again once publishers are kept out: only what
    is still to go then does.
    """
    shown = plan(store, rules, now)
    if not shown.removed or not agreed(shown):
        return shown, False
    with turn(store, PRUNING, "prune") as ours:
        latest = plan(store, rules, now)
        _remove(store, latest.manifests, shown.manifests, ours)
        _remove(store, latest.assets, shown.assets, ours)
    return shown, True


def _remove(store: Store, latest: Collection[Stored], agreed: Collection[Stored], ours: Turn) -> None:
    known = set(agreed)
    keys = [one.key for one in latest if one in known]
    with progress("removing", len(keys)) as advance:
        for start in range(0, len(keys), _BATCH):
            ours.check()
            batch = keys[start : start + _BATCH]
            store.delete(batch)
            advance(len(batch))
