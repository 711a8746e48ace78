"""Read, write, lock and hash files.

- `reading`: decode text, lines, tables and JSON; errors carry the path and the line.
- `writing`: write files and folders atomically, with modes set by the umask.
- `locks`: lock a folder or a file for one process.
- `journal`: append records to a file that survives a crash.
- `hashing`: hash values and files.
- `retry`: retry a call a number of times with growing waits.
"""

from medenv.io.hashing import digest, file_digest
from medenv.io.journal import Journal
from medenv.io.locks import FolderInUseError, FolderLock
from medenv.io.reading import (
    DecodingError,
    decode_json,
    decode_text,
    find_file,
    numbered_lines,
    numbered_records,
    raw_lines,
    read_bytes,
    read_json,
    read_records,
    read_rows,
    read_text,
)
from medenv.io.retry import RetryPolicy, Waits, aretrying, retrying
from medenv.io.writing import (
    atomic_file,
    atomic_folder,
    atomic_path,
    write_bytes,
    write_json,
    write_records,
    write_text,
)

__all__ = [
    "DecodingError",
    "FolderInUseError",
    "FolderLock",
    "Journal",
    "RetryPolicy",
    "Waits",
    "aretrying",
    "atomic_file",
    "atomic_folder",
    "atomic_path",
    "decode_json",
    "decode_text",
    "digest",
    "file_digest",
    "find_file",
    "numbered_lines",
    "numbered_records",
    "raw_lines",
    "read_bytes",
    "read_json",
    "read_records",
    "read_rows",
    "read_text",
    "retrying",
    "write_bytes",
    "write_json",
    "write_records",
    "write_text",
]
