"""A stand-in for a language model behind an OpenAI-compatible endpoint, for a look without one.

It knows the names of the toy graph and a few rules: it reads relations off passages that were
rendered from a graph, rewords a question by a few words before it, and remembers every third
answer. Now and then it is busy, as real endpoints are.

    python examples/stand_in_model.py 8123
"""

import json
import re
import sys
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from medenv.kg import toy_graph, toy_questions

graph, made = toy_graph(), toy_questions()
kinds = {name: graph.kind(node) for node, name in enumerate(graph.nodes.names)}
answers = {question.text: question.answers[0].name for question in (*made.train, *made.test)}
relations = {"Associated gene": "has_gene", "Findings": "has_phenotype"}


def read(passage: dict[str, str]) -> str:
    """Return the relations that a passage about a disease states, as JSON."""
    stated = []
    for label, listed in re.findall(r"(Associated gene|Findings)s?: ([^.]*)\.", passage["text"]):
        (sentence,) = re.findall(rf"{label}s?: {re.escape(listed)}\.", passage["text"])
        for item in listed.split("; "):
            tail = re.sub(r" \(.*\)$", "", item)
            stated.append((passage["title"], relations[label], tail, sentence))
    names = sorted({name for head, _, tail, _ in stated for name in (head, tail)})
    return json.dumps(
        {
            "entities": [{"name": name, "kind": kinds[name], "aliases": []} for name in names],
            "relations": [
                dict(zip(("head", "relation", "tail", "sentence"), one, strict=True))
                for one in stated
            ],
        }
    )


def reply(said: str) -> str:
    """Return what the stand-in writes to what a user said."""
    if not said.startswith("{"):  # a question, to be answered from memory
        text = said.removeprefix("From a colleague: ")
        return answers[text] if zlib.crc32(text.encode()) % 3 == 0 else "I cannot say"
    asked = json.loads(said)
    if "relations" in asked:
        return read(asked)
    return json.dumps({"question": f"From a colleague: {asked['question']}"})


class Handler(BaseHTTPRequestHandler):
    """Answers chat completions, one try in ten with "busy"."""

    tries = 0

    def do_POST(self) -> None:
        """Answer one request."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        Handler.tries += 1
        busy = Handler.tries % 10 == 0
        message = {"role": "assistant", "content": reply(body["messages"][-1]["content"])}
        content = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()
        self.send_response(503 if busy else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    print(f"a stand-in listens at http://127.0.0.1:{server.server_port}/v1", flush=True)
    server.serve_forever()
