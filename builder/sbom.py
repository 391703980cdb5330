"""sbom.cdx.json: what the distribution is made of, as CycloneDX 1.6.

The wheel is the main component; its pedigree names upstream's sdist as the
ancestor and holds every patch whole. Serial number and time come from the
content and the source epoch, so that the same inputs give the same bytes.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.contrib.this.builders import this_component
from cyclonedx.model import (
    AttachedText,
    Encoding,
    ExternalReference,
    ExternalReferenceType,
    HashAlgorithm,
    HashType,
    Property,
    XsUri,
)
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType, Diff, PatchClassification, Pedigree
from cyclonedx.model.component import Patch as PedigreePatch
from cyclonedx.model.issue import IssueClassification, IssueType, IssueTypeSource
from cyclonedx.model.lifecycle import LifecyclePhase, PredefinedLifecycle
from cyclonedx.model.tool import ToolRepository
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.utils import canonicalize_name

from builder.ledger import named_advisories
from builder.libraries import Library
from builder.records import Dependency, Output, epoch_time
from builder.release import Release, Source
from builder.series import Patch, Series, patch_text
from builder.workspace import json_text

SBOM_FILE = "sbom.cdx.json"
_LICENCE = "Apache-2.0"
_DIFF = "text/x-diff"
_SERIAL_NAMESPACE = uuid.UUID("6a0c5a34-5d3f-5d4b-9c47-0f3f6d1a6b52")
_NO_SERIAL = uuid.UUID(int=0)
_PROPERTY = "airflow-service"


def render_sbom(
    release: Release,
    series: Series,
    *,
    wheel: Output,
    bundle: Output,
    dependencies: Sequence[Dependency],
    requires: Mapping[str, Iterable[str]],
    libraries: Sequence[Library],
) -> str:
    """The text of sbom.cdx.json.

    `requires` says who asks for whom, by normalized name and as far as it is
    known; what the wheel asks for is under the release's own name.
    """
    main = _distribution(release, series, wheel)
    packages = {one: _package(one) for one in dependencies}
    scripts = {one: _library(one) for one in libraries}
    assets = _bundle(release, bundle)
    bom = Bom(
        serial_number=_NO_SERIAL,
        components=[*packages.values(), assets, *scripts.values()],
        metadata=BomMetaData(
            component=main,
            timestamp=epoch_time(release.source_epoch),
            lifecycles=[PredefinedLifecycle(LifecyclePhase.BUILD)],
            tools=ToolRepository(components=[this_component()]),
        ),
    )
    wheel_only = [component for one, component in scripts.items() if not one.bundled]
    bom.register_dependency(main, [assets, *wheel_only, *_named(packages, requires.get(release.name, ()))])
    for dependency, component in packages.items():
        bom.register_dependency(component, _named(packages, requires.get(dependency.name, ())))
    bom.register_dependency(assets, [component for one, component in scripts.items() if one.bundled])
    # The serial is a name for the content: made from the document without one.
    bom.serial_number = uuid.uuid5(_SERIAL_NAMESPACE, _text(bom))
    return _text(bom)


def _named(packages: Mapping[Dependency, Component], names: Iterable[str]) -> list[Component]:
    wanted = {canonicalize_name(name) for name in names}
    return [component for dependency, component in packages.items() if dependency.name in wanted]


def _text(bom: Bom) -> str:
    return json_text(json.loads(JsonV1Dot6(bom).output_as_string()))


def _distribution(release: Release, series: Series, wheel: Output) -> Component:
    purl = PackageURL("pypi", None, release.name, release.full_version)
    notes = [f"The package {release.package} was added. The patches, in the order in which they apply:"]
    notes += (f"{place}. {patch.name}: {patch.subject}" for place, patch in enumerate(series, 1))
    return Component(
        type=ComponentType.APPLICATION,
        bom_ref=purl.to_string(),
        name=release.name,
        version=release.full_version,
        purl=purl,
        licenses=[LicenseFactory().make_with_id(_LICENCE)],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=wheel.sha256)],
        pedigree=Pedigree(
            ancestors=[_ancestor(source) for source in release.trees],
            patches=[_patch(release, patch) for patch in series],
            notes="\n".join(notes),
        ),
        properties=[Property(name=f"{_PROPERTY}:file", value=wheel.name)],
    )


def _ancestor(source: Source) -> Component:
    """A pinned file of upstream's. It is no part of the graph, so it has no reference."""
    return Component(
        type=ComponentType.LIBRARY,
        name=source.project,
        version=source.version,
        purl=PackageURL("pypi", None, source.project, source.version, {"file_name": source.file}),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=source.sha256)],
    )


def _patch(release: Release, patch: Patch) -> PedigreePatch:
    # A link is to upstream's own fix, of which the patch is then a rendering for this release.
    forwarded = patch.fields.get("Forwarded", "").startswith("https://")
    return PedigreePatch(
        type=PatchClassification.BACKPORT if forwarded else PatchClassification.UNOFFICIAL,
        diff=Diff(text=_attached(patch), url=XsUri(f"patches/{release.directory.name}/{patch.name}")),
        resolves=[_advisory(number) for number in named_advisories(patch)],
    )


def _attached(patch: Patch) -> AttachedText:
    text = patch_text(patch)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raw = base64.b64encode(text.encode("utf-8", "surrogateescape")).decode("ascii")
        return AttachedText(content=raw, content_type=_DIFF, encoding=Encoding.BASE_64)
    return AttachedText(content=text, content_type=_DIFF)


def _advisory(number: str) -> IssueType:
    source = IssueTypeSource(name="NVD", url=XsUri(f"https://nvd.nist.gov/vuln/detail/{number}"))
    return IssueType(type=IssueClassification.SECURITY, id=number, source=source)


def _package(dependency: Dependency) -> Component:
    purl = PackageURL("pypi", None, dependency.name, dependency.version)
    # The lock's hashes are those of several files, any of which is installed:
    # none of them is the hash of the component.
    files = ExternalReference(
        type=ExternalReferenceType.DISTRIBUTION,
        url=XsUri(purl.to_string()),
        comment="the files that the lock admits, one of which is installed",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=value) for value in dependency.hashes],
    )
    return Component(
        type=ComponentType.LIBRARY,
        bom_ref=purl.to_string(),
        name=dependency.name,
        version=dependency.version,
        purl=purl,
        external_references=[files],
        properties=[Property(name=f"{_PROPERTY}:python", value=", ".join(dependency.pythons))],
    )


def _bundle(release: Release, bundle: Output) -> Component:
    # The static files of the asset wheels come with those of the release itself.
    sources = (*release.trees, *release.asset_wheels)
    return Component(
        type=ComponentType.DATA,
        bom_ref=f"file:{bundle.name}",
        name="airflow-assets",
        version=release.full_version,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=bundle.sha256)],
        pedigree=Pedigree(ancestors=[_ancestor(source) for source in sources]),
        properties=[Property(name=f"{_PROPERTY}:file", value=bundle.name)],
    )


def _library(library: Library) -> Component:
    properties = [Property(name=f"{_PROPERTY}:file", value=name) for name in library.files]
    if library.stated_by:
        properties.append(Property(name=f"{_PROPERTY}:version-stated-by", value=library.stated_by))
    return Component(
        type=ComponentType.LIBRARY,
        # A library can be there twice, and a file can hold two: only both together are unique.
        bom_ref=f"asset:{library.files[0]}#{library.name}@{library.version}",
        name=library.name,
        version=library.version,
        purl=PackageURL.from_string(library.purl),
        licenses=[LicenseFactory().make_from_string(library.licence)],
        properties=properties,
    )
