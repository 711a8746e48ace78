"""Storage of a server: a journal of finished episodes, and snapshots of running ones.

    FOLDER/episodes.jsonl    every finished episode with its score, appended before the client
                             receives its end
    FOLDER/running.db        snapshots of the running ones, for a restart (SQLite)

Questions with their answers are in both files, which are readable for their owner only.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from medenv.episodes.episode import Snapshot
from medenv.errors import DataError
from medenv.io import FolderLock, Journal
from medenv.records import Record, Score, Trajectory
from medenv.serving.protocol import Reply

JOURNAL = "episodes.jsonl"
RUNNING = "running.db"


class Finished(Record, frozen=True, kw_only=True):
    """A finished episode.

    Args:
        client: Name of the client that played it, or ``""``.
        episode_id: Its id.
        trajectory: What happened.
        score: Its score; without a total if it could not be scored.
    """

    client: str
    episode_id: str
    trajectory: Trajectory
    score: Score


class Kept(Record, frozen=True, kw_only=True):
    """A running episode, or an ended one whose end the client has not received.

    Args:
        client: Name of the client that plays it, or ``""``.
        episode_id: Its id.
        split: Split of the question.
        index: Number of the question within the split.
        snapshot: The state of the episode.
        reply: What was last sent to the client.
    """

    client: str
    episode_id: str
    split: str
    index: int
    snapshot: Snapshot
    reply: Reply


class _Key(msgspec.Struct):
    client: str
    episode_id: str


class Store:
    """The state folder of a server.

    Args:
        folder: The folder; created if missing.
        run: Hashes of the environment's settings and questions; the folder belongs to them.

    Raises:
        FolderInUseError: Another server uses the folder.
        DataError: The folder belongs to another environment, is damaged, or cannot be written.
    """

    def __init__(self, folder: Path, run: Mapping[str, str]) -> None:
        self.folder = folder
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True, mode=0o700)
        self._lock = FolderLock(folder)
        self._lock.acquire()
        try:
            self._journal = Journal(folder / JOURNAL, run, Finished, keep=False, sync=False)
            self._running = self._opened(folder / RUNNING)
            for name in (JOURNAL, RUNNING):
                (folder / name).chmod(0o600)
        except BaseException:
            self._lock.release()
            raise

    @staticmethod
    def _opened(path: Path) -> sqlite3.Connection:
        try:
            # one thread at a time uses it, which need not always be the same
            found = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            found.execute("PRAGMA journal_mode = WAL")
            found.execute("PRAGMA synchronous = NORMAL")
            found.execute(
                "CREATE TABLE IF NOT EXISTS kept (client TEXT, episode TEXT, content BLOB, "
                "PRIMARY KEY (client, episode))"
            )
            found.execute(
                "CREATE TABLE IF NOT EXISTS mark (one INTEGER PRIMARY KEY, bytes INTEGER)"
            )
        except sqlite3.Error as error:
            raise DataError(path, f"cannot be opened: {error}") from error
        return found

    def finish(self, episode: Finished) -> None:
        """Append a finished episode to the journal.

        Args:
            episode: The episode.

        Raises:
            DataError: It cannot be written.
        """
        self._journal.append(episode)

    def load(self) -> list[Kept]:
        """Return the episodes that were running when the server stopped, sorted by id.

        Raises:
            DataError: The file is damaged.
        """
        path = self.folder / RUNNING
        decode = msgspec.json.Decoder(Kept).decode
        try:
            rows = self._running.execute("SELECT content FROM kept ORDER BY client, episode")
            kept = [decode(content) for (content,) in rows]
            marked = self._running.execute("SELECT bytes FROM mark").fetchone()
            finished = self._finished_since(marked[0] if marked else 0) if kept else set()
            return [one for one in kept if (one.client, one.episode_id) not in finished]
        except (sqlite3.Error, msgspec.DecodeError) as error:
            problem = f"is damaged ({error}); remove it to give up the running episodes"
            raise DataError(path, problem) from error

    def _finished_since(self, mark: int) -> set[tuple[str, str]]:
        """Return client and id of the episodes in the journal after a mark."""
        path = self.folder / JOURNAL
        decode = msgspec.json.Decoder(_Key).decode
        with path.open("rb") as file:
            file.seek(mark)
            if mark == 0:
                file.readline()
            keys = [decode(line) for line in file]
        return {(key.client, key.episode_id) for key in keys}

    def mark(self) -> int:
        """Return the present length of the journal, bytes."""
        return (self.folder / JOURNAL).stat().st_size

    def save(self, kept: Iterable[Kept], ended: Sequence[tuple[str, str]], mark: int) -> None:
        """Write the present state of running episodes in one transaction, and sync the journal.

        May run in a thread while others append to the journal.

        Args:
            kept: Episodes that have changed.
            ended: Client and id of episodes that need not be kept any more.
            mark: Length of the journal at the time of that state. After a crash, an episode that
                the journal holds beyond it has ended, whatever its snapshot says.

        Raises:
            DataError: A file cannot be written.
        """
        self._journal.sync()
        encode = msgspec.json.encode
        rows = [(one.client, one.episode_id, encode(one)) for one in kept]
        try:
            self._running.execute("BEGIN IMMEDIATE")
            try:
                self._running.executemany(
                    "DELETE FROM kept WHERE client = ? AND episode = ?", ended
                )
                self._running.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?, ?)", rows)
                self._running.execute("INSERT OR REPLACE INTO mark VALUES (0, ?)", (mark,))
            except BaseException:
                self._running.execute("ROLLBACK")
                raise
            self._running.execute("COMMIT")
        except sqlite3.Error as error:
            path = self.folder / RUNNING
            raise DataError(path, f"cannot be written: {error}") from error

    def close(self) -> None:
        """Close the files and release the folder."""
        self._journal.close()
        self._running.close()
        self._lock.release()
