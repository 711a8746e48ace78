"""Files: the one place that decodes, writes, locks and hashes them.

- `reading`: bytes to text, lines, tables and JSON; every failure names the file and the line.
- `writing`: files and folders that appear whole or not at all, with the modes of the umask.
- `locks`: one process at a time in a folder.
- `journal`: records that are appended by one process and survive its end.
- `hashing`: digests of values and files.
- `retry`: how often and after which waits something is tried again.
"""

from medenv.io.hashing import digest, file_digest
from medenv.io.journal import Journal
from medenv.io.locks import FolderInUseError, FolderLock
from medenv.io.reading import (
    Malformed,
    decode_json,
    decode_text,
    locate,
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
    whole_file,
    whole_folder,
    whole_path,
    write_bytes,
    write_json,
    write_records,
    write_text,
)

__all__ = [
    "FolderInUseError",
    "FolderLock",
    "Journal",
    "Malformed",
    "RetryPolicy",
    "Waits",
    "aretrying",
    "decode_json",
    "decode_text",
    "digest",
    "file_digest",
    "locate",
    "numbered_lines",
    "numbered_records",
    "raw_lines",
    "read_bytes",
    "read_json",
    "read_records",
    "read_rows",
    "read_text",
    "retrying",
    "whole_file",
    "whole_folder",
    "whole_path",
    "write_bytes",
    "write_json",
    "write_records",
    "write_text",
]
