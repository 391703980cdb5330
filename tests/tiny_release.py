"""A made-up release, small enough to build in a second: its files, an index that serves them, a checkout.

The trees are below tests/samples/tiny; what is packed from them has the same bytes each time.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import io
import json
import shutil
import ssl
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from builder import cli
from builder.lock import lock_input
from builder.pipeline import write_ledger
from builder.workspace import Workspace, digest

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "tests" / "samples" / "tiny"
EPOCH = 1_500_000_000
SDIST = "tiny-app-1.0.tar.gz"
NEXT_SDIST = "tiny-app-1.1.tar.gz"
REFERENCE = "tiny_app-1.0-py3-none-any.whl"
ADMIN = "tiny_admin-2.0-py3-none-any.whl"
DEPENDENCY = "tiny_dep-1.0-py3-none-any.whl"
WHEEL = "tiny_app-1.0+svc.1-py3-none-any.whl"
PATCHES = ("say-the-version.patch", "greet-politely.patch", "third-is-more.patch", "double-by-two.patch")
REQUIRES = "tiny-dep>=1"


@dataclass(frozen=True)
class Member:
    """A member of an archive, a proper one or not."""

    name: str
    content: bytes = b""
    kind: bytes = tarfile.REGTYPE
    link: str = ""
    mode: int = 0o644


def tar_gz(members: list[Member]) -> bytes:
    """An sdist with these members, whatever they are."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member in members:
            info = tarfile.TarInfo(member.name)
            info.size, info.mtime, info.mode = len(member.content), EPOCH, member.mode
            info.type, info.linkname = member.kind, member.link
            archive.addfile(info, io.BytesIO(member.content))
    return gzip.compress(plain.getvalue(), mtime=0)


def wheel(project: str, version: str, files: dict[str, bytes], requires: str = "") -> bytes:
    """A wheel of a pure Python project."""
    folder = f"{project}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {project.replace('_', '-')}\nVersion: {version}\n"
    described = {
        **files,
        f"{folder}/METADATA": (metadata + (f"Requires-Dist: {requires}\n" if requires else "")).encode(),
        f"{folder}/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    described[f"{folder}/RECORD"] = "".join(
        f"{name},,\n" for name in [*described, f"{folder}/RECORD"]
    ).encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in described.items():
            archive.writestr(zipfile.ZipInfo(name, (2017, 7, 14, 2, 40, 0)), content)
    return packed.getvalue()


def read_folder(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def sdist(version: str, extra: list[Member] | None = None) -> bytes:
    """The made-up release's sdist of that version."""
    files = read_folder(SAMPLES / "upstream" / version)
    files["PKG-INFO"] = f"Metadata-Version: 2.1\nName: tiny-app\nVersion: {version}\n".encode()
    members = [Member(f"tiny-app-{version}", kind=tarfile.DIRTYPE, mode=0o755)]
    members += [Member(f"tiny-app-{version}/{name}", content) for name, content in files.items()]
    return tar_gz(members + (extra or []))


def release_files() -> dict[str, dict[str, bytes]]:
    """Every file of the made-up package index, by project."""
    packaged = {name: raw for name, raw in read_folder(SAMPLES / "upstream" / "1.0").items() if "/" in name}
    return {
        "tiny-app": {
            SDIST: sdist("1.0"),
            NEXT_SDIST: sdist("1.1"),
            REFERENCE: wheel("tiny_app", "1.0", packaged, REQUIRES),
        },
        "tiny-admin": {ADMIN: wheel("tiny_admin", "2.0", read_folder(SAMPLES / "admin"))},
        "tiny-dep": {DEPENDENCY: wheel("tiny_dep", "1.0", {"tiny_dep.py": b"NAME = 'tiny-dep'\n"})},
    }


Behaviour = Callable[[BaseHTTPRequestHandler, bytes], None]


@dataclass
class FakeIndex:
    """A package index on the loopback: PEP 503 HTML or PEP 691 JSON, as it is told.

    `behaviours` replaces the answer to a path's last part; `asked` has every
    path that was asked for. With `password`, it wants basic authentication of
    the user `reader`.
    """

    projects: dict[str, dict[str, bytes]]
    form: str = "json"
    password: str = ""
    hashes: bool = True
    yanked: bool = False
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = handler.path.partition("?")[0]
        self.asked.append(path)
        kind, _, rest = path.lstrip("/").partition("/")
        last = path.rstrip("/").rpartition("/")[2]
        wanted = "Basic " + _base64(f"reader:{self.password}")
        if self.password and handler.headers.get("Authorization") != wanted:
            handler.send_response(401)
            handler.send_header("WWW-Authenticate", 'Basic realm="index"')
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        content, content_type = b"", "application/octet-stream"
        if kind == "simple" and rest.strip("/") in self.projects:
            content, content_type = self._page(rest.strip("/"))
        elif kind == "files":
            content = next((files[last] for files in self.projects.values() if last in files), b"")
        if last in self.behaviours:
            self.behaviours[last](handler, content)
        else:
            send(handler, content, content_type, 200 if content else 404)

    def _page(self, project: str) -> tuple[bytes, str]:
        sums = {name: hashlib.sha256(raw).hexdigest() for name, raw in self.projects[project].items()}
        if self.form == "html":
            ends = {name: f"#sha256={sha256}" if self.hashes else "" for name, sha256 in sums.items()}
            yanked = 'data-yanked="old"' if self.yanked else ""
            anchors = "".join(
                f'<a href="../../files/{name}{end}" {yanked}>{name}</a>\n' for name, end in ends.items()
            )
            return f"<!DOCTYPE html><html><body>{anchors}</body></html>".encode(), "text/html"
        files = [
            {
                "filename": name,
                "url": f"../../files/{name}",
                "hashes": {"sha256": sha256} if self.hashes else {},
                "yanked": "old" if self.yanked else False,
            }
            for name, sha256 in sums.items()
        ]
        page = {"meta": {"api-version": "1.0"}, "name": project, "files": files}
        return json.dumps(page).encode(), "application/vnd.pypi.simple.v1+json"


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def send(
    handler: BaseHTTPRequestHandler,
    content: bytes,
    content_type: str = "application/octet-stream",
    status: int = 200,
) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", content_type)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content)


@contextlib.contextmanager
def serving(index: FakeIndex, certificate: Path | None = None) -> Iterator[FakeIndex]:
    """Serve an index on a free port of the loopback, by https if there is a certificate with its key."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            with contextlib.suppress(ConnectionError):
                index.answer(self)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    scheme = "http"
    if certificate:
        scheme = "https"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    index.url = f"{scheme}://127.0.0.1:{server.server_port}"
    try:
        yield index
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def pin(role: str, project: str, version: str, name: str, raw: bytes, **changed: object) -> str:
    """A [[source]] of upstream.toml."""
    values: dict[str, object] = {
        "role": role,
        "project": project,
        "version": version,
        "file": name,
        "sha256": hashlib.sha256(raw).hexdigest(),
        "size": len(raw),
        "source_epoch": EPOCH,
        **changed,
    }
    return "\n[[source]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())


def pins(version: str = "1.0", revision: int = 1, default: bool = True, **changed: bytes) -> str:
    """The text of upstream.toml; `changed` replaces a file's bytes by role."""
    files = release_files()
    tree = changed.get("tree", files["tiny-app"][f"tiny-app-{version}.tar.gz"])
    return (
        f'format = 1\ndefault = {str(default).lower()}\nname = "tiny-app"\nversion = "{version}"\n'
        f'revision = {revision}\npython = ["3.11"]\npackage = "tiny_service"\nassets = "1.0"\n'
        'upstream_packages = ["tiny_app"]\nextras = []\nwheel_without = []\n'
        + pin("tree", "tiny-app", version, f"tiny-app-{version}.tar.gz", tree)
        + pin("assets", "tiny-admin", "2.0", ADMIN, files["tiny-admin"][ADMIN])
        + pin("reference", "tiny-app", "1.0", REFERENCE, files["tiny-app"][REFERENCE])
    )


def lock_text() -> str:
    """A lock that is current for the made-up wheel."""
    sha256 = hashlib.sha256(release_files()["tiny-dep"][DEPENDENCY]).hexdigest()
    return (
        f"# Made by hand.\n# input: {digest(lock_input([REQUIRES], [], '3.11'))}\n"
        f"tiny-dep==1.0 \\\n    --hash=sha256:{sha256}\n    # via -r -\n"
    )


@dataclass(frozen=True)
class Ran:
    """What one run of build.py came to."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Checkout:
    """A checkout of the made-up distribution."""

    root: Path

    @property
    def patches(self) -> Path:
        return self.root / "patches" / "1.0"

    @property
    def line(self) -> Path:
        return self.root / ".build" / "1.0"

    @property
    def tree(self) -> Path:
        return self.line / "tree"

    @property
    def dist(self) -> Path:
        return self.root / "dist"

    @property
    def series(self) -> list[str]:
        return (self.patches / "series").read_text("utf-8").split()

    def run(self, *argv: str) -> Ran:
        """Run a verb in this process."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = cli.main(argv, self.root)
            except SystemExit as ended:
                code = int(ended.code or 0)
        return Ran(code, out.getvalue(), err.getvalue())

    def succeed(self, *argv: str) -> Ran:
        ran = self.run(*argv)
        assert ran.code == 0, ran.err
        return ran

    def edit(self, path: str, old: str, new: str) -> None:
        """Change a file of the checkout, or with a path from `.build` on, of the tree."""
        file = self.root / path
        text = file.read_text("utf-8")
        assert text.count(old) == 1, f"{path} has {text.count(old)} times {old!r}"
        file.write_text(text.replace(old, new), "utf-8")

    def edit_tree(self, path: str, old: str, new: str) -> None:
        self.edit(f".build/1.0/tree/{path}", old, new)

    def snapshot(self, *folders: str) -> dict[str, bytes]:
        """Every file below the folders, byte for byte: to see that nothing was lost or half-written."""
        return {
            f"{folder}/{name}": raw
            for folder in folders
            if (self.root / folder).is_dir()
            for name, raw in read_folder(self.root / folder).items()
        }


def make_checkout(root: Path) -> Checkout:
    """Write a checkout with one release and its four patches; without the builder's own code."""
    checkout = Checkout(root)
    shutil.copytree(SAMPLES / "patches", checkout.patches)
    shutil.copytree(SAMPLES / "overlay", root / "overlay", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(SAMPLES / "assets", root / "assets" / "1.0")
    (root / "docs").mkdir()
    (checkout.patches / "upstream.toml").write_text(pins(), "utf-8")
    (checkout.patches / "constraints-py3.11.txt").write_text(lock_text(), "utf-8")
    (root / "tests").mkdir()
    named = "".join(
        f"def test_{name}() -> None: ...\n" for name in ("version", "greeting", "third", "double")
    )
    (root / "tests" / "test_tiny.py").write_text(named, "utf-8")
    write_ledger(Workspace(root))
    return checkout


def add_builder(checkout: Checkout) -> None:
    """Copy build.py and what it needs, so that it can be run as a process."""
    for name in ("builder", "requirements"):
        shutil.copytree(ROOT / name, checkout.root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "build.py", checkout.root / "build.py")


def fill_cache(cache: Path, more: dict[str, bytes] | None = None) -> None:
    """Put every pinned file, and `more`, where a download would be kept."""
    known = [(name, raw) for files in release_files().values() for name, raw in files.items()]
    for name, raw in [*known, *(more or {}).items()]:
        path = cache / "airflow-service" / "downloads" / hashlib.sha256(raw).hexdigest() / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
