"""The tools of an episode as JSON-RPC, as OpenEnv 0.10 offers them beside its own messages.

A call is a turn of the episode: it is written in the environment's dialect, counts against the
budget, and is part of the trajectory, so that nothing can be searched outside of an episode.
"""

from __future__ import annotations

from typing import Any

import msgspec

from medenv.serving.protocol import NotJSONError, RefusedError, ResetData, load_json
from medenv.serving.sessions import Session, Sessions

_PARSE, _REQUEST, _METHOD, _PARAMS, _SERVER = -32700, -32600, -32601, -32602, -32000


class _Request(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    jsonrpc: str
    method: str
    params: dict[str, Any] = {}
    id: str | int | None = None


class MCP:
    """Answers JSON-RPC requests.

    Args:
        sessions: The sessions of the server.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._tools = [
            {"name": one.name, "description": one.description, "inputSchema": one.parameters}
            for one in sessions.parts.rules.tools
        ]

    async def answer_raw(
        self, raw: str | bytes, session: Session | None, client: str = ""
    ) -> dict[str, Any]:
        """Answer an encoded request; raises nothing.

        Args:
            raw: The request.
            session: The session of its connection, or None over HTTP.
            client: Name of the client over HTTP.
        """
        try:
            request = load_json(raw)
        except NotJSONError as error:
            return _error(None, _PARSE, str(error))
        return await self.answer(request, session, client)

    async def answer(
        self, request: Any, session: Session | None, client: str = ""
    ) -> dict[str, Any]:
        """Answer a request; raises nothing.

        Args:
            request: The decoded request.
            session: The session of its connection, or None over HTTP.
            client: Name of the client over HTTP.
        """
        try:
            asked = msgspec.convert(request, _Request)
        except msgspec.ValidationError as error:
            return _error(None, _REQUEST, f"invalid request: {error}")
        if asked.jsonrpc != "2.0":
            return _error(asked.id, _REQUEST, "invalid request: expected jsonrpc 2.0")
        try:
            return await self._answered(asked, session, client)
        except msgspec.ValidationError as error:
            return _error(asked.id, _PARAMS, str(error))
        except RefusedError as error:
            self._sessions.metrics.refused[error.code] += 1
            return _error(asked.id, _SERVER, str(error), {"code": error.code})

    async def _answered(
        self, asked: _Request, session: Session | None, client: str
    ) -> dict[str, Any]:
        params = asked.params
        if asked.method == "tools/list":
            return _result(asked.id, {"tools": self._tools})
        if asked.method == "openenv/session/create":
            data = msgspec.convert(params, ResetData)
            opened = session or self._sessions.open(client)
            try:
                reply = self._sessions.begin(opened, data)
            except RefusedError:
                if session is None:
                    self._sessions.close(opened, park=False)
                raise
            name = reply.observation.metadata["episode_id"]
            return _result(asked.id, {"session_id": name, "observation": reply.observation})
        if asked.method == "openenv/session/close":
            name = _text(params, "session_id")
            found = self._sessions.find(session.client if session else client, name)
            if found.end is not None:
                raise RefusedError("SESSION_ERROR", "a connection plays it: send close there", 409)
            self._sessions.close(found, park=False)
            return _result(asked.id, {"session_id": name, "closed": True})
        if asked.method == "tools/call":
            return await self._called(asked, session, client)
        known = "tools/list, tools/call, openenv/session/create, openenv/session/close"
        return _error(asked.id, _METHOD, f"unknown method {asked.method!r:.80} (known: {known})")

    async def _called(
        self, asked: _Request, session: Session | None, client: str
    ) -> dict[str, Any]:
        params = asked.params
        name, arguments = _text(params, "name"), params.get("arguments", {})
        if name not in {one["name"] for one in self._tools}:
            return _error(asked.id, _PARAMS, f"there is no tool {name!r:.80}")
        if not isinstance(arguments, dict):
            return _error(asked.id, _PARAMS, "expected arguments as an object")
        if session is None:
            session = self._sessions.find(client, _text(params, "session_id"))
        text = self._sessions.parts.rules.dialect.write_call(name, arguments)
        reply = await self._sessions.step(session, text)
        content = [{"type": "text", "text": reply.observation.text}]
        found = {"content": content, "isError": bool(reply.observation.problems)}
        return _result(asked.id, found | {"done": reply.done, "reward": reply.reward})


def _text(params: dict[str, Any], name: str) -> str:
    value = params.get(name)
    if not isinstance(value, str) or not value:
        raise msgspec.ValidationError(f"params need {name!r}, a text")
    return value


def _result(number: str | int | None, result: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "result": result}


def _error(number: str | int | None, code: int, message: str, data: Any = None) -> dict[str, Any]:
    error = {"code": code, "message": message} | ({} if data is None else {"data": data})
    return {"jsonrpc": "2.0", "id": number, "error": error}
