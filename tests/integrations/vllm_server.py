"""vLLM's OpenAI-compatible server with a policy, on this machine, for one test."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

SECONDS = 300.0
"""Longest wait for the server to come up."""


@contextmanager
def serving(policy: str) -> Iterator[str]:
    """Serve a policy and give the base URL; the server ends with the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        *(sys.executable, "-m", "vllm.entrypoints.openai.api_server"),
        *("--model", policy, "--port", str(port), "--host", "127.0.0.1"),
        *("--dtype", "float32", "--max-model-len", "1024", "--enforce-eager"),
    ]
    environment = {
        **os.environ,
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    server = subprocess.Popen(command, env=environment)
    try:
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                if httpx.get(f"http://127.0.0.1:{port}/health", timeout=2).status_code == 200:
                    break
            except httpx.HTTPError:
                pass
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"vLLM's server did not come up (status {server.poll()})")
            time.sleep(1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(30)
