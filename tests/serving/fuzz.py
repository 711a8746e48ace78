"""Malformed requests, made from the server's own OpenAPI description."""

from __future__ import annotations

import json
import string
from collections import Counter
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np

ODD = (
    None, True, -1, 0, 2**31, 2**63, -(2**70), 1.5, 1e308, "", "x" * 300, "\ud800", "\x00", "é",
    "../../etc/passwd", "' OR 1=1 --", "${jndi:ldap://x}", "<answer>", [], [[]], {}, {"a": {}},
    ["x"] * 50, {"$ref": "#"}, "NaN", "train", "test", "9" * 5000,
)  # fmt: skip
BODIES = (
    b"", b"{", b"}", b"null", b"[]", b"3", b'"x"', b"\xff\xfe", b"[" * 50_000, b'{"a":' * 5_000,
    b"{} {}", b'{"a": NaN}', b'{"seed": 1e999}', b'{"seed": 00}', b"\x00", b'{"a":1,"a":2}',
    b"action=1&x=2", b"<xml/>", b"\xef\xbb\xbf{}", b'{"episode_id": "\\ud800"}',
    "{\"episode_id\": \"e\"}".encode("utf-16"),
)  # fmt: skip
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "BREW")
HEADERS = (
    {}, {"Content-Type": "text/plain"}, {"Content-Encoding": "gzip"}, {"Content-Type": "x" * 2000},
    {"Accept": "image/png"}, {"Authorization": "Bearer"}, {"Authorization": "\x7f"},
    {"Range": "bytes=0-1"}, {"X-Forwarded-For": "8.8.8.8"},
    {"Upgrade": "websocket", "Connection": "Upgrade"}, {"Expect": "100-continue"},
)  # fmt: skip


class Fuzzer:
    """Draws requests.

    Args:
        described: The OpenAPI description.
        seed: Seed of the draws.
    """

    def __init__(self, described: dict[str, Any], seed: int) -> None:
        self._draw = np.random.default_rng(seed)
        self._schemas = described["components"]["schemas"]
        self._operations = [
            (path, method.upper(), operation)
            for path, operations in sorted(described["paths"].items())
            for method, operation in sorted(operations.items())
        ]

    def request(self) -> dict[str, Any]:
        """Return a request as arguments of `httpx.Client.request`."""
        path, method, operation = self._one(self._operations)
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        kind = self._draw.random()
        if kind < 0.1:
            method = self._one(METHODS)
        if kind > 0.9:
            path = "/" + quote("".join(self._one(string.printable) for _ in range(12)))
        known = (
            "Served-v0"
            if self._draw.random() < 0.7
            else quote(str(self._one(ODD)), errors="replace")[:200]
        )
        content = self._value(body.get("schema", {}), 0)
        return {
            "method": method,
            "url": path.replace("{env_name}", known or "x"),
            "params": {
                one["name"]: str(self._one(ODD))[:500].encode("utf-8", "replace").decode()
                for one in operation.get("parameters", [])
                if one["in"] == "query"
            },
            "content": self._one(BODIES) if kind < 0.3 else json.dumps(content).encode(),
            "headers": self._one(HEADERS) if self._draw.random() < 0.3 else {},
        }

    def _value(self, schema: dict[str, Any], depth: int) -> Any:
        """Return a value that mostly fits a schema."""
        if self._draw.random() < 0.25 or depth > 6:
            return self._one(ODD)
        if "$ref" in schema:
            return self._value(self._schemas[schema["$ref"].rpartition("/")[2]], depth + 1)
        if "anyOf" in schema:
            return self._value(self._one(schema["anyOf"]), depth + 1)
        if schema.get("type") == "object" or "properties" in schema:
            fields = {
                name: self._value(field, depth + 1)
                for name, field in schema.get("properties", {}).items()
                if self._draw.random() < 0.8
            }
            return fields | ({"extra": self._one(ODD)} if self._draw.random() < 0.2 else {})
        return {"integer": 1, "number": 0.5, "boolean": True, "string": "train"}.get(
            str(schema.get("type")), self._one(ODD)
        )

    def _one(self, among: Any) -> Any:
        return among[int(self._draw.integers(len(among)))]


def fuzz(where: str, count: int, seed: int = 0) -> Counter[int]:
    """Send requests; return how often each status came, 0 where the connection was closed.

    Args:
        where: Host and port of a server.
        count: Number of requests.
        seed: Seed of the draws.
    """
    statuses: Counter[int] = Counter()
    with httpx.Client(base_url=f"http://{where}", timeout=20, trust_env=False) as client:
        fuzzer = Fuzzer(client.get("/openapi.json").json(), seed)
        for _ in range(count):
            try:
                statuses[client.request(**fuzzer.request()).status_code] += 1
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                statuses[0] += 1
    return statuses
