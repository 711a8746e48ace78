"""The chat client against a real server on this machine: replies, failures, retries, the key."""

import asyncio
import json
import logging
import pickle
import threading

import pytest

from medenv.errors import InfraError, ModelUnavailableError, TokensExhaustedError, UsageError
from medenv.llm.endpoint import Endpoint, EndpointSettings, Usage, json_in

from ..chat_server import ChatServer, asked_by, completion, in_turn

HELLO = [{"role": "user", "content": "Hello"}]


def client(server, **settings):
    """Return a client of a server and the list of its waits."""
    waits = []

    async def wait(seconds):
        waits.append(seconds)

    made = EndpointSettings(url=server.url, model="m", **{"backoff": 0.5, **settings})
    return Endpoint(made, waits.append, wait), waits


def complete(endpoint, how):
    """Ask for a completion in one of the two ways."""
    if how == "blocking":
        return endpoint.complete(HELLO, top_p=0.9)

    async def ask():
        async with endpoint:
            return await endpoint.acomplete(HELLO, top_p=0.9)

    return asyncio.run(ask())


BOTH = pytest.mark.parametrize("how", ["blocking", "asynchronous"])


@BOTH
def test_a_reply_is_the_text_of_the_first_choice(how, monkeypatch):
    monkeypatch.setenv("A_KEY", "sk-secret")
    with ChatServer(in_turn("Hi.")) as server:
        endpoint, waits = client(
            server, key_variable="A_KEY", options={"temperature": 0.6, "top_p": 0.1}
        )
        assert complete(endpoint, how) == "Hi."
    assert server.paths == ["/v1/chat/completions"]
    assert server.headers[0]["Authorization"] == "Bearer sk-secret"
    assert server.asked == [
        {"model": "m", "temperature": 0.6, "top_p": 0.9, "messages": HELLO},
    ]
    assert waits == []
    assert endpoint.usage == Usage(replies=1, prompt_tokens=7, completion_tokens=2)


def test_a_reply_says_how_it_ended():
    with ChatServer(lambda _: (200, completion("half of i", "length"))) as server:
        reply = client(server)[0].ask(HELLO)
    assert (reply.text, reply.finish, reply.completion_tokens) == ("half of i", "length", 2)


def test_without_a_key_none_is_sent(monkeypatch):
    monkeypatch.delenv("A_KEY", raising=False)
    with ChatServer(in_turn("Hi.")) as server:
        client(server, key_variable="A_KEY")[0].complete(HELLO)
    assert "Authorization" not in server.headers[0]


@BOTH
@pytest.mark.parametrize(
    "failure",
    [(429, b"slow"), (500, b""), (503, b""), (408, b""), (200, b"<html>"), None],
    ids=["429", "500", "503", "408", "no completion", "broken connection"],
)
def test_a_failure_that_passes_is_waited_out_with_growing_waits(how, failure):
    with ChatServer(in_turn(failure, failure, "Hi.")) as server:
        endpoint, waits = client(server)
        assert complete(endpoint, how) == "Hi."
    assert endpoint.usage.retries == 2
    assert 0.375 <= waits[0] <= 0.625
    assert 0.75 <= waits[1] <= 1.25


@BOTH
@pytest.mark.parametrize(
    ("reply", "told", "asked"),
    [
        ((500, b"down"), r"the model m at http://127\S+: answered 500: down", 3),
        ((401, b"no"), r"answered 401: no", 1),
        ((404, b"no model"), r"answered 404: no model", 1),
        ((400, b"too long"), r"answered 400: too long", 1),
        ((200, b'{"choices": []}'), r"gave no choice", 3),
        ((200, b'{"choices": [{"message": {"content": null}}]}'), r"gave no completion", 3),
        ((200, b'{"choices": [{"message": {"content": "caf\xe9"}}]}'), r"not UTF-8", 3),
    ],
    ids=["500", "401", "404", "400", "no choice", "no text", "Latin-1"],
)
def test_what_does_not_pass_is_an_infrastructure_failure(how, reply, told, asked):
    with ChatServer(in_turn(reply)) as server:
        endpoint, _ = client(server, attempts=3)
        with pytest.raises(ModelUnavailableError, match=told):
            complete(endpoint, how)
    assert len(server.asked) == asked
    assert issubclass(ModelUnavailableError, InfraError)


def test_a_failure_says_whether_it_may_pass():
    for reply, transient in (((500, b""), True), ((401, b""), False)):
        with ChatServer(in_turn(reply)) as server:
            endpoint, _ = client(server, attempts=1)
            with pytest.raises(ModelUnavailableError, match="answered") as raised:
                endpoint.complete(HELLO)
        assert raised.value.transient == transient
        copy = pickle.loads(pickle.dumps(raised.value))
        assert (str(copy), copy.transient) == (str(raised.value), transient)


def test_an_endpoint_that_wants_to_be_left_alone_is_left_alone_but_not_for_ever():
    busy = [(429, b"", [("Retry-After", after)]) for after in ("7", "3600", "Sun, 6 Nov 1994")]
    with ChatServer(in_turn(*busy, "Hi.")) as server:
        endpoint, waits = client(server, longest_wait=20)
        assert endpoint.complete(HELLO) == "Hi."
    assert waits[:2] == [7, 20]
    assert 1.5 <= waits[2] <= 2.5


def test_a_slow_endpoint_is_an_infrastructure_failure():
    release = threading.Event()
    with ChatServer(lambda _: release.wait() and None) as server:
        endpoint, _ = client(server, timeout=0.05, attempts=1)
        with pytest.raises(ModelUnavailableError, match=r"timed out|Timeout"):
            endpoint.complete(HELLO)
        release.set()


def test_an_endpoint_that_is_not_there_is_an_infrastructure_failure():
    settings = EndpointSettings(url="http://127.0.0.1:9/v1", model="m", attempts=1)
    with pytest.raises(ModelUnavailableError, match=r"the model m at http://127\.0\.0\.1:9/v1"):
        Endpoint(settings).complete(HELLO)


def test_the_key_is_never_told(monkeypatch, caplog):
    monkeypatch.setenv("A_KEY", "sk-secret")
    caplog.set_level(logging.DEBUG)
    with ChatServer(lambda _: (401, b"Incorrect API key provided: sk-secret.")) as server:
        endpoint, _ = client(server, key_variable="A_KEY")
        with pytest.raises(ModelUnavailableError, match=r"provided: \*\*\*\.") as raised:
            endpoint.complete(HELLO)
    shown = repr(endpoint.settings) + repr(raised.value) + caplog.text
    assert "sk-secret" not in shown
    assert b"sk-secret" not in pickle.dumps(Endpoint(endpoint.settings))


def test_a_client_crosses_a_process_border_after_use():
    with ChatServer(in_turn("Hi.")) as server:
        endpoint = Endpoint(EndpointSettings(url=server.url, model="m"))
        endpoint.complete(HELLO)
        copy = pickle.loads(pickle.dumps(endpoint))
        assert copy.complete(HELLO) == "Hi."
        endpoint.close()
        copy.close()


def test_one_client_serves_one_event_loop_after_another_and_many_requests_at_once():
    with ChatServer(lambda body: asked_by(body).upper()) as server:
        endpoint, _ = client(server)

        async def ask():
            async with endpoint:
                texts = [[{"role": "user", "content": f"word {i}"}] for i in range(20)]
                return await asyncio.gather(*(endpoint.acomplete(text) for text in texts))

        for _ in range(2):
            assert asyncio.run(ask()) == [f"WORD {i}" for i in range(20)]
    assert endpoint.usage.replies == 40


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"url": "localhost:8000"}, r"begins with http:// or https:// .*'localhost:8000'"),
        ({"model": ""}, r"and a model"),
        ({"url": "https://me:secret@x/v1"}, r"environment variable OPENAI_API_KEY"),
        ({"attempts": 0}, r"attempts >= 1, .* got 0"),
        ({"timeout": 0.0}, r"timeout > 0"),
        ({"backoff": -1.0}, r"backoff >= 0"),
    ],
)
def test_an_endpoint_that_cannot_be_asked_is_refused(settings, message):
    with pytest.raises(UsageError, match=message) as raised:
        EndpointSettings(**{"url": "http://x", "model": "m", **settings})
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "said",
    [
        '{"a": 1}',
        ' {"a": 1}\n',
        '```json\n{"a": 1}\n```',
        '```\n{"a": 1}\n```',
        '<think>{}</think>{"a": 1}',
    ],
)
def test_json_may_come_in_a_fence_or_after_thoughts(said):
    assert json_in(said) == '{"a": 1}'


@pytest.mark.parametrize("said", ['Here it is: {"a": 1}', "", 'x ```json\n{"a": 1}\n``` y'])
def test_json_is_never_looked_for_in_prose(said):
    assert json_in(said) == said


def refusal(message, **fields):
    """Return the body of an error as OpenAI and vLLM write it."""
    return json.dumps({"error": {"message": message, "type": "BadRequestError", **fields}}).encode()


TOO_LONG = {
    "OpenAI": (400, refusal("too many", code="context_length_exceeded")),
    "OpenAI, words": (400, refusal("Your input exceeds the context window of this model.")),
    "vLLM": (
        400,
        refusal(
            "This model's maximum context length is 900 tokens. However, you requested 961 tokens "
            "(761 in the messages, 200 in the completion).",
            code=400,
        ),
    ),
    "vLLM, flat": (
        400,
        b'{"object": "error", "message": "This model\'s maximum context length is 900 tokens. '
        b'However, your request has 961 input tokens.", "type": "BadRequestError", "code": 400}',
    ),
    "vLLM, prompt": (
        400,
        refusal("The decoder prompt (length 961) is longer than the maximum model length of 900."),
    ),
    "vLLM, max_tokens": (
        400,
        refusal(
            "'max_tokens' or 'max_completion_tokens' is too large: 200. This model's maximum "
            "context length is 900 tokens and your request has 761 input tokens."
        ),
    ),
    "SGLang": (
        400,
        b'{"object": "error", "message": "The input (961 tokens) is longer than the model\'s '
        b'context length (900 tokens).", "type": "BadRequestError", "code": 400}',
    ),
    "SGLang, total": (
        400,
        b'{"object": "error", "message": "Requested token count exceeds the model\'s maximum '
        b'context length of 900 tokens.", "type": "BadRequest", "code": 400}',
    ),
    "SGLang, length": (
        400,
        b'{"error": {"message": "Input length (961 tokens) exceeds the maximum allowed length '
        b'(899 tokens)."}}',
    ),
    "llama.cpp": (500, refusal("try another", type="exceed_context_size_error", n_ctx=900)),
    "text-generation-inference": (
        422,
        b'{"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 900.'
        b' Given: 761 `inputs` tokens and 200 `max_new_tokens`", "error_type": "validation"}',
    ),
    "no JSON": (413, b"prompt is too long: 961 tokens > 900 maximum"),
}
CUT = {
    "no text": completion(None, "length"),
    "empty": completion("", "length"),
    "space": completion(" \n", "length"),
    "thoughts": json.dumps(
        {
            "choices": [
                {
                    "message": {"content": None, "reasoning_content": "on and on"},
                    "finish_reason": "length",
                }
            ]
        }
    ).encode(),
}


@BOTH
@pytest.mark.parametrize(
    "reply", [*TOO_LONG.values(), *((200, body) for body in CUT.values())], ids=[*TOO_LONG, *CUT]
)
def test_a_conversation_without_room_for_a_reply_is_told_apart_and_not_tried_again(how, reply):
    with ChatServer(in_turn(reply)) as server:
        endpoint, waits = client(server, attempts=3)
        with pytest.raises(TokensExhaustedError) as raised:
            complete(endpoint, how)
    assert (len(server.asked), waits, raised.value.transient) == (1, [], False)
    copy = pickle.loads(pickle.dumps(raised.value))
    assert (type(copy), str(copy), copy.transient) == (
        TokensExhaustedError,
        str(raised.value),
        False,
    )


@pytest.mark.parametrize(
    "reply",
    [
        (400, refusal("temperature must be at least 0")),
        (400, refusal("the text is too long", code=400)),
        (429, refusal("maximum context length of all requests in flight")),
        (401, refusal("no key")),
        (400, b"\xff[[["),
        (400, b'{"error": null}'),
        (400, b'{"error": {"code": ["context_length_exceeded"], "message": 7}}'),
    ],
)
def test_other_refusals_are_infrastructure_failures(reply):
    with ChatServer(in_turn(reply)) as server, pytest.raises(ModelUnavailableError) as raised:
        client(server, attempts=1)[0].complete(HELLO)
    assert not isinstance(raised.value, TokensExhaustedError)


def test_a_reply_that_ended_without_a_text_is_empty_and_half_a_text_is_a_text():
    said = [
        (completion(None, "stop"), ""),
        (completion(None, "tool_calls"), ""),
        (completion("half of i", "length"), "half of i"),
        (
            completion([{"type": "text", "text": "in "}, {"type": "text", "text": "parts"}]),
            "in parts",
        ),
    ]
    for body, text in said:
        with ChatServer(in_turn((200, body))) as server:
            assert client(server)[0].complete(HELLO) == text


@pytest.mark.parametrize("charset", ["utf8mb4", "hex", "idna"])
def test_a_reply_is_json_whatever_charset_it_claims_and_with_a_byte_order_mark(charset):
    kind = [("Content-Type", f"application/json; charset={charset}")]
    body = b"\xef\xbb\xbf" + completion("Hi.")
    with ChatServer(in_turn((503, b"zz", kind), (200, body, kind))) as server:
        assert client(server)[0].complete(HELLO) == "Hi."
