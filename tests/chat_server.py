"""A real OpenAI-compatible server on this machine, with prepared replies."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class ChatServer:
    """Answers each request by a function of its body; what it was asked is kept.

    Args:
        answer: Request body to a text, which is a completion, or to (status, bytes), which is
            sent as it is, or to None, which breaks the connection.
    """

    def __init__(self, answer):
        self.answer, self.asked, self.headers, self.paths = answer, [], [], []
        self.most_at_once = self._now = 0
        self._lock = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def _handler(self):
        chat = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with chat._lock:
                    chat._now += 1
                    chat.most_at_once = max(chat.most_at_once, chat._now)
                    chat.asked.append(body)
                    chat.headers.append(dict(self.headers))
                    chat.paths.append(self.path)
                reply = chat.answer(body)
                with chat._lock:
                    chat._now -= 1
                if reply is not None:
                    self._send(*(reply if isinstance(reply, tuple) else (200, completion(reply))))

            def _send(self, status, content, headers=()):
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        return Handler

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def completion(text, finish="stop"):
    """Return the body of a completion that says a text."""
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": finish}
    usage = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    return json.dumps({"choices": [choice], "usage": usage}).encode()


def in_turn(*replies):
    """Return an answer function that gives prepared replies, the last one for ever."""
    left = list(replies)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def asked_by(body):
    """Return the last thing that a request's user said."""
    return body["messages"][-1]["content"]
