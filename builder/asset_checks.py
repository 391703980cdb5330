"""The bundle against its own rules, and against what the templates ask for."""

from __future__ import annotations

from dataclasses import dataclass, field

from builder.asset_rules import Rules
from builder.asset_templates import Asked
from builder.errors import AssetError


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of the bundle: its logical name, its hashed name, its final bytes."""

    logical: str
    name: str
    content_type: str
    content: bytes = field(repr=False)
    compress: bool = False
    references: tuple[str, ...] = ()


def check_rules(rules: Rules, names: list[str], assets: list[Asset], external_seen: set[str]) -> None:
    """A rule that matches nothing has lost what it was written for.

    `names` are all files, `assets` what is in the bundle. Raises AssetError.
    """
    included = [asset.logical for asset in assets]
    stale = [
        f"[[{kind}]] {pattern.text}: matches no file"
        for kind, group in (("exclude", rules.exclude), ("keep", rules.keep))
        for rule in group
        for pattern in rule.match
        if not any(pattern.matches(name) for name in names)
    ]
    stale += [
        f"[[external]] {url}: no style sheet names it"
        for url in sorted(rules.external.keys() - external_seen)
    ]
    stale += [
        f"[[group]] {group.name}: {p}: no such file in the bundle"
        for group in rules.groups
        for p in group.members(included)[1]
    ]
    if stale:
        raise AssetError(
            "rules of the bundle that match nothing",
            detail="\n".join(stale),
            cause="the release, or a patch, has moved or removed what the rule is about",
            next_step="look at what became of it, then mend the line's rules.toml",
        )


def check_wishes(assets: list[Asset], wishes: list[Asked], names: list[str], rules: Rules) -> None:
    """Hold what is in the bundle against what the templates ask for."""
    included, existing = {asset.logical: asset for asset in assets}, set(names)
    tolerated = [p for rule in rules.exclude if rule.although_referenced for p in rule.match]
    dynamic = {entry.template: entry for entry in rules.dynamic}
    used: set[str] = set()
    faults: list[str] = []
    wanted: set[str] = set()
    for wish in wishes:
        files: tuple[str, ...] = (wish.file,)
        if not wish.file:
            used.add(wish.template)
            entry = dynamic.get(wish.template)
            if entry is None:
                faults.append(
                    f"{wish.shown}:{wish.line}: a computed file name; [[dynamic]] must say what it can be"
                )
                continue
            files = entry.files
        for name in files:
            if name not in existing:
                faults.append(f"{wish.shown}:{wish.line}: asks for {name}, which does not exist")
            elif name not in included and not any(p.matches(name) for p in tolerated):
                faults.append(
                    f"{wish.shown}:{wish.line}: asks for {name}, left out because: {rules.excluded_by(name)}"
                )
            wanted.add(name)
    faults += [f"[[dynamic]] {name}: computes no file name" for name in dynamic if name not in used]
    faults += [
        f"[[exclude]] {p.text}: although_referenced, but no template asks for it"
        for p in tolerated
        if not any(p.matches(name) for name in wanted)
    ]
    faults += [
        f"{name} is asked for by nothing: exclude it, or say in [[keep]] who needs it"
        for name in sorted(included.keys() - _reached(included, wanted, rules))
    ]
    if faults:
        raise AssetError("the bundle is not what the templates ask for", detail="\n".join(faults))


def _reached(included: dict[str, Asset], wanted: set[str], rules: Rules) -> set[str]:
    """What is wanted, kept, in a group, or referred to by any of these."""
    todo = [
        name
        for name in included
        if name in wanted or any(p.matches(name) for r in rules.keep for p in r.match)
    ]
    todo += [name for group in rules.groups for name in group.members(included)[0].values()]
    reached: set[str] = set()
    while todo:
        name = todo.pop()
        if name not in reached:
            reached.add(name)
            todo += included[name].references
    return reached
