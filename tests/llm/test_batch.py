"""Many requests at a time: nothing asked twice, nothing lost, whatever fails or is killed."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from medenv.errors import DataError, ModelUnavailableError, UsageError
from medenv.io import FolderInUseError
from medenv.llm.batch import BatchClient, BatchLimits, Kept, open_journal
from medenv.llm.endpoint import Endpoint, EndpointSettings

from ..chat_server import ChatServer, asked_by


def requests(n):
    return {f"k{i}": [{"role": "user", "content": f"word {i}"}] for i in range(n)}


def asking(server, path, run="a run", attempts=8, **patience):
    settings = EndpointSettings(url=server.url, model="m", attempts=attempts, backoff=0.001)
    return BatchClient(Endpoint(settings), open_journal(path, run, "m"), BatchLimits(**patience))


def shout(body):
    return asked_by(body).upper()


def test_replies_come_by_key_in_the_order_of_the_requests(tmp_path):
    said = []
    with ChatServer(shout) as server:
        replies = asking(server, tmp_path / "j").ask(requests(20), say=said.append)
    assert replies == {f"k{i}": (f"WORD {i}",) for i in range(20)}
    assert list(replies) == [f"k{i}" for i in range(20)]
    assert said == list(range(1, 21))


@pytest.mark.parametrize("concurrency", [1, 3])
def test_as_many_requests_are_under_way_as_allowed_and_no_more(tmp_path, concurrency):
    together = threading.Barrier(concurrency)

    def with_others(body):
        together.wait(timeout=20)
        time.sleep(0.01)
        return shout(body)

    with ChatServer(with_others) as server:
        asking(server, tmp_path / "j", concurrency=concurrency).ask(requests(12))
    assert server.most_at_once == concurrency


def test_what_is_in_the_journal_is_not_asked_for_again(tmp_path):
    with ChatServer(shout) as server:
        asking(server, tmp_path / "j").ask(requests(5))
        replies = asking(server, tmp_path / "j").ask(requests(8))
    assert len(server.asked) == 8
    assert replies["k1"] == ("WORD 1",)


def test_an_endpoint_that_fails_three_times_in_ten_costs_tries_and_no_reply(tmp_path):
    dice, lock = random.Random(0), threading.Lock()

    def flaky(body):
        with lock:
            thrown = dice.random()
        failure = (503, b"") if thrown < 0.15 else (429, b"") if thrown < 0.25 else None
        return failure if thrown < 0.3 else shout(body)

    with ChatServer(flaky) as server:
        made = asking(server, tmp_path / "j")
        replies = made.ask(requests(200))
    assert replies == {f"k{i}": (f"WORD {i}",) for i in range(200)}
    assert made.endpoint.usage.retries == len(server.asked) - 200 > 40


def test_a_reply_that_cannot_be_read_is_asked_for_again_and_both_are_kept(tmp_path):
    seen = set()

    def at_second(body):
        word = asked_by(body)
        first = word not in seen
        seen.add(word)
        return "?" if first and word != "word 0" else word

    with ChatServer(at_second) as server:
        made = asking(server, tmp_path / "j", max_parse_attempts=2)
        replies = made.ask(requests(3), lambda _, text: text != "?")
    assert replies == {"k0": ("word 0",), "k1": ("?", "word 1"), "k2": ("?", "word 2")}
    made.journal.close()
    assert asking(server, tmp_path / "j").replies == replies


def test_one_request_that_is_never_answered_leaves_the_others_kept(tmp_path):
    def but_one(body):
        return (500, b"no") if asked_by(body) == "word 3" else shout(body)

    with ChatServer(but_one) as server:
        with (
            asking(server, tmp_path / "j", attempts=2) as made,
            pytest.raises(ModelUnavailableError, match=r"1 of 10 requests .* answered 500: no"),
        ):
            made.ask(requests(10))
        server.answer = shout
        before = len(server.asked)
        replies = asking(server, tmp_path / "j").ask(requests(10))
    assert len(server.asked) == before + 1
    assert len(replies) == 10


def test_an_endpoint_that_is_gone_is_not_asked_for_everything(tmp_path):
    with ChatServer(lambda _: (401, b"no key")) as server:
        with (
            asking(server, tmp_path / "j", concurrency=2) as made,
            pytest.raises(ModelUnavailableError, match="100 of 100 requests are not answered"),
        ):
            made.ask(requests(100))
        assert len(server.asked) <= 2
        server.answer = lambda _: (500, b"")
        with (
            asking(server, tmp_path / "j", concurrency=2, attempts=1) as made,
            pytest.raises(ModelUnavailableError, match="the same call goes on"),
        ):
            made.ask(requests(100))
    assert len(server.asked) <= 2 + 6


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.95, 0.999])
def test_a_journal_cut_anywhere_loses_what_was_cut_and_nothing_else(tmp_path, cut):
    with ChatServer(shout) as server:
        whole = asking(server, tmp_path / "j").ask(requests(30))
        raw = (tmp_path / "j").read_bytes()
        (tmp_path / "cut").write_bytes(raw[: int(len(raw) * cut)])
        kept = raw[: int(len(raw) * cut)].count(b"\n") - 1
        assert asking(server, tmp_path / "cut").ask(requests(30)) == whole
    assert len(server.asked) == 30 + 30 - kept


PROGRAM = """
import sys
from medenv.llm.batch import BatchClient, BatchLimits, open_journal
from medenv.llm.endpoint import Endpoint, EndpointSettings
endpoint = Endpoint(EndpointSettings(url=sys.argv[1], model="m"))
asking = BatchClient(endpoint, open_journal(sys.argv[2], "a run", "m"), BatchLimits(concurrency=2))
asking.ask({f"k{i}": [{"role": "user", "content": f"word {i}"}] for i in range(200)})
"""


def test_a_run_that_is_killed_goes_on_where_it_was(tmp_path):
    def slow(body):
        time.sleep(0.01)
        return shout(body)

    path = tmp_path / "j"
    with ChatServer(slow) as server:
        process = subprocess.Popen([sys.executable, "-c", PROGRAM, server.url, str(path)])
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if path.exists() and path.read_bytes().count(b"\n") > 20:
                break
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        kept = len(asking(server, path).replies)
        before = len(server.asked)
        assert 20 <= kept < 200
        server.answer = shout
        replies = asking(server, path).ask(requests(200))
        assert len(server.asked) - before == 200 - kept
    assert replies == {f"k{i}": (f"WORD {i}",) for i in range(200)}


def test_a_journal_of_another_run_or_damaged_is_refused(tmp_path: Path):
    with open_journal(tmp_path / "j", "a run", "m") as journal:
        journal.append(Kept(key="k", replies=("x",)))
    for run, model, told in (("another", "m", "run 'a run', now"), ("a run", "n", "model 'm'")):
        with pytest.raises(DataError, match=rf"belongs to another run \({told}"):
            open_journal(tmp_path / "j", run, model)
    with (tmp_path / "j").open("ab") as file:
        file.write(b'{"key": 1}\n')
    with pytest.raises(DataError, match="is damaged") as caught:
        open_journal(tmp_path / "j", "a run", "m")
    assert caught.value.line == 3
    with pytest.raises(UsageError, match="of at least 1, got 0, 2 and 4"):
        BatchLimits(concurrency=0)


def test_two_never_ask_with_one_journal(tmp_path: Path):
    with ChatServer(shout) as server, asking(server, tmp_path / "j") as first:
        with pytest.raises(FolderInUseError):
            asking(server, tmp_path / "j")
        first.ask(requests(2))
    with ChatServer(shout) as server, asking(server, tmp_path / "j") as again:
        assert again.ask(requests(2)) == first.replies
        assert server.asked == []


TOO_LONG = (400, b'{"error": {"message": "too long", "code": "context_length_exceeded"}}')


def test_a_request_that_is_too_long_is_an_empty_reply_and_stops_no_other(tmp_path):
    def answer(body):
        return TOO_LONG if asked_by(body) == "word 3" else shout(body)

    with ChatServer(answer) as server:
        replies = asking(server, tmp_path / "j", max_parse_attempts=2).ask(
            requests(6), lambda _, text: text
        )
        assert replies["k3"] == ("", "")
        assert [replies[f"k{i}"] for i in (2, 4)] == [("WORD 2",), ("WORD 4",)]
        asked = len(server.asked)
        assert asking(server, tmp_path / "j").ask(requests(6)) == replies
        assert len(server.asked) == asked  # nothing is asked again
