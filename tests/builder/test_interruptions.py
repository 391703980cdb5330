"""What may happen to a build from outside: killed, interrupted, no room, no permission, another one beside it."""

from __future__ import annotations

import fcntl
import os
import random
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from tiny_release import ROOT, Checkout, Member, fill_cache, pins, read_folder, sdist

from builder.git import git_text, run_git

pytestmark = pytest.mark.slow

BUILD = "import sys\nfrom pathlib import Path\nfrom builder.cli import main\nprint('ready', flush=True)\n"


def start(checkout: Checkout, verb: str) -> subprocess.Popen[str]:
    """A build in a process group of its own, like one that a terminal starts; returns when it begins."""
    process = subprocess.Popen(
        [sys.executable, "-c", f"{BUILD}sys.exit(main([{verb!r}], Path(sys.argv[1])))", str(checkout.root)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def is_whole(checkout: Checkout) -> bool:
    """Whether dist/ holds a build that is what its sums say."""
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"],
        cwd=checkout.dist, check=False, capture_output=True,
    )  # fmt: skip
    return done.returncode == 0


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGINT])
def test_stopped_at_any_moment(checkout: Checkout, built_once: Path, signum: signal.Signals) -> None:
    """Stopped again and again at random moments, a build leaves nothing half, and the next one ends the same.

    An author's patches, too, are what they were.
    """
    expected = read_folder(built_once / "checkout" / "dist")
    inputs = checkout.snapshot("patches", "overlay", "assets", "docs")
    moments = random.Random()
    seed = moments.randrange(1 << 32)
    moments.seed(seed)
    ended = False
    for _ in range(3):
        process = start(checkout, "dist")
        time.sleep(moments.uniform(0, 1.5))
        os.killpg(process.pid, signum)
        out, err = process.communicate(timeout=60)
        assert process.returncode in (0, 130, -signum), err
        if signum == signal.SIGINT and process.returncode:
            # Once all is told, Python goes down, and no longer catches a signal.
            assert process.returncode == 130 or out, f"seed {seed}: {err}"
            assert "Traceback" not in err, f"seed {seed}"
            assert not list(checkout.root.glob("**/scratch-*")), f"seed {seed}"
        ended = ended or process.returncode == 0
        found = read_folder(checkout.dist) if checkout.dist.is_dir() else {}
        done = {name: raw for name, raw in found.items() if not name.startswith("scratch-")}
        assert all(expected[name] == raw for name, raw in done.items()), f"seed {seed}"
        assert ("SHA256SUMS" in done) <= (done == expected), f"seed {seed}"
    ran = checkout.run("dist")
    assert ran.code == 0, f"seed {seed}: {ran.err}"
    assert read_folder(checkout.dist) == expected
    assert checkout.snapshot("patches", "overlay", "assets", "docs") == inputs
    assert not list(checkout.root.glob("**/scratch-*"))
    assert checkout.run("check").code == 0


@pytest.mark.parametrize("failure", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("place", range(1, 9))
def test_stopped_while_patches_are_applied(
    patched: Checkout, monkeypatch: pytest.MonkeyPatch, failure: type[BaseException], place: int
) -> None:
    """Stopped before or after any git command of an update, the tree is no author's work to the next run."""
    from builder import tree

    patched.edit("patches/1.0/say-the-version.patch", "Removal: with", "Removal: only with")
    genuine = tree.run_git
    count = 0

    def stop(*arguments: object, **options: object) -> object:
        nonlocal count
        count += 1
        if count == place:
            raise failure
        done = genuine(*arguments, **options)  # type: ignore[arg-type]
        if count == -place:
            raise failure
        return done

    with monkeypatch.context() as patch:
        patch.setattr(tree, "run_git", stop)
        patched.run("patch")
    ran = patched.run("refresh")
    assert ran.code in (0, 23), "a refresh must not take half a tree for the series"
    assert len(patched.series) == 4
    patched.succeed("patch")
    patched.succeed("refresh")
    assert len(patched.series) == 4


def leave_half(checkout: Checkout) -> None:
    """What a killed build may leave, and what an author may do after it: nobody can tell them apart."""
    (checkout.tree / ".git" / "builder-busy").touch()
    (checkout.tree / ".git" / "index.lock").touch()
    checkout.edit_tree("tiny_app/extra.py", "return 1\n", "return half\n")
    (checkout.tree / "tiny_app" / "extra.py.rej").write_text("x")


def kept(checkout: Checkout) -> list[str]:
    return git_text(checkout.tree, "for-each-ref", "--format=%(refname)", "refs/recovered").splitlines()


def test_what_a_killed_build_left_is_kept(patched: Checkout) -> None:
    """The next build clears it away, says where it is, and what it prints brings it back."""
    for number in (1, 2):
        leave_half(patched)
        ran = patched.succeed("patch")
        assert kept(patched)[-1] == f"refs/recovered/{number}"
        assert git_text(patched.tree, "status", "--porcelain") == ""
        [line] = [line for line in ran.err.splitlines() if "to have them back: " in line]
        subprocess.run(shlex.split(line.partition(": ")[2]), check=True)
        assert "return half" in (patched.tree / "tiny_app" / "extra.py").read_text()
        assert (patched.tree / "tiny_app" / "extra.py.rej").read_text() == "x"
        run_git(patched.tree, "reset", "--quiet", "--hard")
    assert "recovered" not in patched.succeed("patch").err


def test_nothing_is_kept_of_an_unchanged_tree(patched: Checkout) -> None:
    """A build that was killed between two patches leaves nothing to speak of."""
    (patched.tree / ".git" / "builder-busy").touch()
    assert "kept as" not in patched.succeed("patch").err
    assert kept(patched) == []


def test_what_a_killed_build_left_outlives_the_tree(patched: Checkout, surroundings: Path) -> None:
    """When the pins change, it goes along into the tree that is made anew."""
    leave_half(patched)
    raw = sdist("1.0", [Member("tiny-app-1.0/NEWS", b"news")])
    fill_cache(surroundings / "cache", {"tiny-app-1.0.tar.gz": raw})
    (patched.patches / "upstream.toml").write_text(pins(tree=raw), "utf-8")
    patched.succeed("patch")
    assert (patched.tree / "NEWS").exists()
    assert "return half" in git_text(patched.tree, "show", "refs/recovered/1:tiny_app/extra.py")


def test_a_killed_builds_recovery_leaves_a_rebase_alone(patched: Checkout) -> None:
    """An author's rebase after a killed build is not cleared away either."""
    leave_half(patched)
    (patched.tree / ".git" / "MERGE_HEAD").write_text(git_text(patched.tree, "rev-parse", "HEAD"))
    for verb in ("patch", "clean"):
        assert patched.run(verb).code == 23
        assert "return half" in (patched.tree / "tiny_app" / "extra.py").read_text()


def test_an_author_may_clean_after_a_killed_build(patched: Checkout) -> None:
    """`clean` stops once, to say what it found in the tree; the second time it is asked for what it does."""
    leave_half(patched)
    ran = patched.run("clean")
    assert ran.code == 23
    assert "refs/recovered/1" in ran.err
    assert kept(patched) == ["refs/recovered/1"]
    patched.succeed("clean")
    patched.succeed("patch")


def test_two_builds_at_once(checkout: Checkout, built_once: Path) -> None:
    """The second waits, says so, and finds the work done; both succeed."""
    (checkout.root / ".build").mkdir()
    with (checkout.root / ".build" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        both = [start(checkout, "dist") for _ in range(2)]
        said = [process.stderr.readline() for process in both if process.stderr]
    assert said == [f"waiting for another build in {checkout.root} to end\n"] * 2
    printed = sorted(process.communicate(timeout=120)[0].splitlines()[-1] for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert sum(line.startswith("dist/ is current") for line in printed) == 1
    assert read_folder(checkout.dist) == read_folder(built_once / "checkout" / "dist")


def test_a_waiting_build_can_be_interrupted(checkout: Checkout) -> None:
    """Ctrl-C ends the waiting, and not the other build."""
    (checkout.root / ".build").mkdir()
    with (checkout.root / ".build" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = start(checkout, "fetch")
        assert process.stderr is not None
        process.stderr.readline()
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 130


def in_own_mounts(checkout: Checkout, mounts: str, body: str) -> subprocess.CompletedProcess[str]:
    """Run Python among mounts that nobody else sees and that go with it.

    Skips where the machine permits no mount; in CI that is a failure.
    """
    code = f"{BUILD}import os, subprocess\nroot = Path(sys.argv[1])\n{body}"
    python = shlex.join([sys.executable, "-c", code, str(checkout.root)])
    command = ["unshare", "--mount", "--map-root-user"]
    if os.geteuid() == 0:
        command.remove("--map-root-user")
    probe = subprocess.run(
        [*command, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False
    )
    if probe.returncode != 0:
        reason = f"no mount is permitted here: {probe.stderr.decode()}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return subprocess.run(
        [*command, "sh", "-e", "-c", f"{mounts}\nexec {python}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_full_disk(checkout: Checkout) -> None:
    """At whichever step the room runs out, the build ends with 22 and a whole dist/ or none; with room it goes on."""
    root = shlex.quote(str(checkout.root))
    mounts = (
        f"cp -a {root} {root}.aside\nmount -t tmpfs -o size=60k none {root}\ncp -a {root}.aside/. {root}/\n"
    )
    body = """
used = int(subprocess.run(["du", "-sk", root], capture_output=True, text=True, check=True).stdout.split()[0])
codes = []
for room in (8, 64, 160, 320, 420, 520, 600, 700):
    subprocess.run(["mount", "-o", f"remount,size={used + room}k", root], check=True)
    codes.append(main(["dist"], root))
    names = {path.name for path in (root / "dist").glob("*")}
    assert not names or ("SHA256SUMS" in names and len(names) == 8), names
    assert not list(root.glob("**/scratch-*"))
subprocess.run(["mount", "-o", "remount,size=64m", root], check=True)
codes.append(main(["dist"], root))
print(codes)
sys.exit(main(["dist"], root))
"""
    done = in_own_mounts(checkout, mounts, body)
    assert done.returncode == 0, done.stdout + done.stderr
    codes = eval(done.stdout.splitlines()[-2])
    assert codes[0] == 22
    assert codes[-1] == 0
    assert set(codes) == {0, 22}, done.stderr
    assert codes.count(22) >= 4, codes
    assert "usual cause: the disk is full" in done.stderr
    assert "next: make room" in done.stderr


def test_a_dist_that_cannot_be_written(built: Checkout) -> None:
    """A read-only dist/ is found out before the work; what is in it stays."""
    before = built.snapshot("dist")
    built.edit("patches/1.0/third-is-more.patch", "+    return 33", "+    return 34")
    dist = shlex.quote(str(built.dist))
    mounts = f"mount --bind {dist} {dist}\nmount -o remount,ro,bind {dist}\n"
    done = in_own_mounts(built, mounts, "sys.exit(main(['dist'], root))")
    assert done.returncode == 22, done.stderr
    assert "usual cause: the file system is mounted read-only" in done.stderr
    assert "✓" not in done.stderr, "it was found out too late"
    assert built.snapshot("dist") == before
    built.succeed("dist")


def test_a_checkout_of_somebody_elses(built: Checkout) -> None:
    """Without permission to write, the message names the place; nothing is changed."""
    if os.geteuid() != 0:
        pytest.skip("only root can run a build as somebody else")
    built.edit("patches/1.0/third-is-more.patch", "+    return 33", "+    return 34")
    # Imported before: that user may not be able to read this Python.
    become = "import os, builder.distribution\nos.setgroups([])\nos.setgid(65534)\nos.setuid(65534)\n"
    code = f"{BUILD}{become}sys.exit(main(['dist'], Path(sys.argv[1])))"
    # Not below pytest's own folder, which nobody else may enter.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        checkout = Checkout(built.root.rename(Path(folder) / "checkout"))
        before = checkout.snapshot("dist", "patches")
        command = [sys.executable, "-c", code, str(checkout.root)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert checkout.snapshot("dist", "patches") == before
    assert done.returncode == 22, done.stderr
    assert "belongs to somebody else, or is read-only" in done.stderr


def test_a_file_that_is_too_large_for_its_limit(checkout: Checkout) -> None:
    """`ulimit -f` is told as what it is."""
    code = "import resource, signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    code += "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
    done = subprocess.run(
        [sys.executable, "-c", f"{BUILD}{code}sys.exit(main(['wheel'], Path(sys.argv[1])))", str(checkout.root)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 22, done.stderr
    assert "ulimit -f" in done.stderr


def test_threads_of_a_failed_build_end_with_it(built: Checkout) -> None:
    """When one of the two steps that run at once fails, nothing of the other is left running."""
    built.edit("assets/1.0/rules.toml", "max_file_bytes = 100_000", "max_file_bytes = 10")
    before = threading.active_count()
    assert built.run("dist").code == 20
    assert threading.active_count() == before
