"""A stand-in for llama-server whose speed is known exactly, and which fails on demand.

It speaks enough of the API for a benchmark: /health, /props, /v1/models, /tokenize, /detokenize, /apply-template,
/completion and /v1/chat/completions, streamed or whole. A token is a word. Waits are slept and then spun, so that
the given speeds hold to some 50 µs.

    python tests/standin/llama_standin.py --port 8080 --pp 1000 --tg 50
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import socket
import sys
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

SPIN_S = 0.002
SPECIAL = "<bos>"
TEMPLATE_WORDS = ["<user>", "<assistant>"]
FAULTS = (
    "exit",  # ends at once
    "cached",  # the cache can't be switched off: three quarters of each prompt are taken from it
    "truncated",  # long prompts are cut and answered with 200
    "short",  # generation ends at half of what was asked
    "die",  # the process ends in the middle of the measured answers
    "lie",  # the server's clock says 10 % faster
    "no-timings",  # only the client's clock is known
    "clock-from-prompt",  # predicted_ms starts at the end of the prompt, not at the first token
    "miscount",  # the template adds two tokens that the tokenizer does not tell
    "garbage",  # the stream holds a line that is not JSON
    "error",  # the stream ends with an error event
)


class Words:
    """A word-level vocabulary that grows as words are seen."""

    def __init__(self) -> None:
        self.words: list[str] = [SPECIAL]
        self.ids: dict[str, int] = {SPECIAL: 0}

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text's words."""
        for word in text.split():
            if word not in self.ids:
                self.ids[word] = len(self.words)
                self.words.append(word)
        return [self.ids[word] for word in text.split()]

    def decode(self, ids: list[int]) -> str:
        """Return the text of some ids, with a space before each word, as byte-level tokenizers give it."""
        return "".join(f" {self.words[one]}" for one in ids)


@dataclass
class Job:
    """One generation: how much there is to do, how fast, and what goes wrong."""

    n_prompt: int
    evaluated: int
    cached: int
    n_gen: int
    pp: float
    tg: float
    burst: int
    round_s: float
    chat: bool
    stream: bool
    truncated: bool
    fault: str | None
    said: list[str]
    options: argparse.Namespace

    @classmethod
    def of(cls, body: dict[str, Any], options: argparse.Namespace, known: int, answers: int, *, chat: bool) -> Job:
        """Return the job that a request asks for, when its first `known` words are in the cache, after some answers."""
        fault = options.fault
        text = content_of(body, chat=chat)
        n_prompt = len(text.split()) + 1 + (len(TEMPLATE_WORDS) if chat else 0)
        if chat and fault == "miscount":
            n_prompt += 2
        n_gen = body.get("max_tokens" if chat else "n_predict") or 32
        truncated = fault == "truncated" and n_prompt > 64
        seen = 64 if truncated else n_prompt
        cached = seen * 3 // 4 if fault == "cached" else 0
        if known and body.get("cache_prompt", True) and not fault:
            cached = min(seen - 1, known + (2 if chat else 1))  # what stands before the first word is known, too
        said: list[str] = []
        if options.say and not body.get("ignore_eos"):
            said = re.findall(r"\s*\S+|\s+", options.say.read_text("utf-8"))
            n_gen = min(n_gen, len(said))
        if options.answer and not body.get("ignore_eos"):
            n_gen = min(n_gen, options.answer)
        burst = options.accepted + 1
        speed = speed_of(answers, options) / options.slowdown
        tg = options.tg * speed
        return cls(
            n_prompt=n_prompt,
            evaluated=seen - cached,
            cached=cached,
            n_gen=max(1, n_gen // 2) if fault == "short" else n_gen,
            pp=options.pp * speed,
            tg=tg,
            burst=burst,
            round_s=options.round_ms / 1e3 if options.round_ms else burst / tg,
            chat=chat,
            stream=bool(body.get("stream")),
            truncated=truncated,
            fault=fault,
            said=said,
            options=options,
        )

    @property
    def rounds(self) -> int:
        """Rounds that it takes; a whole one where the last is cut by the limit."""
        return -(-(self.n_gen - 1) // self.burst)

    @property
    def counted(self) -> int:
        """Tokens that the server counts: with `--drops` those of the last round beyond the limit, too."""
        return 1 + self.rounds * self.burst if self.options.drops else self.n_gen

    @property
    def delivered(self) -> int:
        """Tokens that are sent: with `--drops` only one of the round that reaches the limit."""
        return 2 + (self.rounds - 1) * self.burst if self.options.drops and self.rounds else self.n_gen

    def last_event(self, predicted_ms: float) -> dict[str, Any]:
        """Return the event that ends an answer."""
        if self.chat:
            details = {"cached_tokens": self.cached}
            usage = {"prompt_tokens": self.n_prompt, "completion_tokens": self.n_gen, "prompt_tokens_details": details}
            choice = {
                "index": 0,
                "delta": {},
                "message": {"role": "assistant", "content": "w"},
                "finish_reason": "stop",
            }
            last = {"choices": [choice], "usage": usage, "truncated": self.truncated}
        else:
            counts = {"tokens_evaluated": self.n_prompt, "tokens_predicted": self.n_gen}
            last = {"content": "", "stop": True, "truncated": self.truncated, **counts}
        return last if self.fault == "no-timings" else last | {"timings": self._timings(predicted_ms)}

    def _timings(self, predicted_ms: float) -> dict[str, Any]:
        truth = 0.9 if self.fault == "lie" else 1.0
        timings: dict[str, Any] = {
            "prompt_n": self.evaluated,
            "prompt_ms": self.evaluated / self.pp * 1e3 * truth,
            "predicted_n": self.counted,
            "predicted_ms": predicted_ms * truth,
        }
        if self.options.engine == "llama_cpp":
            timings["cache_n"] = self.cached
        if self.options.accepted and (self.chat or self.options.engine == "llama_cpp"):
            rounds = self.rounds if self.options.drops else (self.n_gen - 1) // self.burst
            timings["draft_n"] = rounds * self.options.drafted
            timings["draft_n_accepted"] = rounds * self.options.accepted
        return timings


class Server(ThreadingHTTPServer):
    """The stand-in; `options` are the command line's."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.vocabulary = Words()
        self.ready_at = time.monotonic() + options.load_s
        self.answers = 0
        self.last: list[str] = []
        super().__init__((options.host, options.port), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:  # as the base class has it
        """Say nothing of a client that was killed."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def server_bind(self) -> None:
        """Bind without looking up the host's name."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = str(self.server_address[0]), self.socket.getsockname()[1]


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it
        """Say nothing."""

    def version_string(self) -> str:
        """Name the engine that is imitated."""
        return {"ik_llama": "ik_llama.cpp", "llama_cpp": "llama.cpp"}.get(self.server.options.engine, "httpd")

    def _send(self, status: int, body: object) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def _loading(self) -> bool:
        """Imitate a model load: ik_llama.cpp holds connections without a word, llama.cpp answers 503."""
        left = self.server.ready_at - time.monotonic()
        if left <= 0:
            return False
        if self.server.options.engine == "ik_llama":
            time.sleep(left)
            return False
        self._send(503, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}})
        return True

    def do_GET(self) -> None:
        """Answer the read-only part of the API."""
        if self._loading():
            return
        options = self.server.options
        if self.path == "/health":
            self._send(200, {"status": "ok"})
        elif self.path == "/props":
            props = {"default_generation_settings": {"n_ctx": options.n_ctx}, "total_slots": 1, "model_path": "none"}
            self._send(200, props | ({"build_info": "b1-standin"} if options.engine == "llama_cpp" else {}))
        elif self.path in {"/v1/models", "/models"}:
            self._send(200, {"object": "list", "data": [{"id": "standin", "object": "model", "meta": {"n_params": 1}}]})
        else:
            self._send(404, {"error": {"code": 404, "message": "File Not Found", "type": "not_found_error"}})

    def do_POST(self) -> None:
        """Answer the tokenizer and the generator."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self._loading():
            return
        keys = self.server.options.api_key_file
        if keys and self.headers.get("Authorization") not in {f"Bearer {key}" for key in keys.read_text().split()}:
            self._send(401, {"error": {"code": 401, "message": "Invalid API Key", "type": "authentication_error"}})
            return
        vocabulary = self.server.vocabulary
        if self.path == "/tokenize":
            special = [0] if body.get("add_special") else []
            self._send(200, {"tokens": special + vocabulary.encode(body["content"])})
        elif self.path == "/detokenize":
            self._send(200, {"content": vocabulary.decode(body["tokens"])})
        elif self.path == "/apply-template":
            content = " ".join(message["content"] for message in body["messages"])
            self._send(200, {"prompt": " ".join([TEMPLATE_WORDS[0], content, TEMPLATE_WORDS[1]])})
        elif self.path in {"/completion", "/v1/chat/completions", "/chat/completions"}:
            self._generate(body, chat=self.path != "/completion")
        else:
            self._send(404, {"error": {"code": 404, "message": "File Not Found", "type": "not_found_error"}})

    def _generate(self, body: dict[str, Any], *, chat: bool) -> None:
        words = content_of(body, chat=chat).split()
        pairs = zip(self.server.last, words, strict=False)
        known = next((i for i, (x, y) in enumerate(pairs) if x != y), min(len(self.server.last), len(words)))
        self.server.last = words
        job = Job.of(body, self.server.options, known, self.server.answers, chat=chat)
        started = time.perf_counter()
        wait_until(started + job.evaluated / job.pp)
        first = clock_start = time.perf_counter()
        self.server.answers += 1
        if job.stream:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
        if job.fault == "clock-from-prompt":
            first += 1 / job.tg
        failed = self._tokens(job, first)
        last = job.last_event((time.perf_counter() - clock_start) * 1e3)
        if not job.stream:
            self._send(200, last)
            return
        if not failed:
            self._event(last)
        if chat:
            self._event_raw(b"[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def _tokens(self, job: Job, first: float) -> bool:
        """Send the tokens, each at its time, drafted ones in bursts; return whether the stream failed."""
        for index in range(job.delivered):
            wait_until(first + (index + job.burst - 1) // job.burst * job.round_s)
            if job.fault == "die" and self.server.answers > 2 and index == job.n_gen // 2:
                os._exit(9)
            if job.fault == "garbage" and self.server.answers > 1 and index == 1:
                self._event_raw(b"not json")
            if job.fault == "error" and self.server.answers > 1 and index == 1:
                self._event({"error": {"code": 500, "message": "the backend gave up", "type": "server_error"}})
                return True
            if job.stream:
                said = job.said[index] if index < len(job.said) else ""
                self._event(piece(index, said, chat=job.chat))
        return False

    def _event(self, data: dict[str, Any]) -> None:
        self._event_raw(json.dumps(data).encode())

    def _event_raw(self, payload: bytes) -> None:
        event = b"data: " + payload + b"\n\n"
        self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))


def speed_of(answers: int, options: argparse.Namespace) -> float:
    """Return the share of its speed at which the server gives the next answer: on a line, with noise that is the same each time."""
    noise = random.Random(f"{options.seed} {answers}").gauss(0, options.noise / 100)
    speed: float = (1 + options.trend / 100 * answers) * (1 + noise)
    return max(0.05, speed)


def content_of(body: dict[str, Any], *, chat: bool) -> str:
    """Return the text that a request holds."""
    return " ".join(message["content"] for message in body["messages"]) if chat else str(body["prompt"])


def piece(index: int, said: str, *, chat: bool) -> dict[str, Any]:
    """Return the event of one token, which is what is to be said, or a word of its own."""
    word = said or f" w{index % 997}"
    if chat:
        return {"choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]}
    return {"content": word, "stop": False}


def wait_until(moment: float) -> None:
    """Wait until `time.perf_counter()` reaches `moment`: sleep, then spin."""
    left = moment - time.perf_counter()
    if left > SPIN_S:
        time.sleep(left - SPIN_S)
    while time.perf_counter() < moment:
        pass


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one; the address is printed")
    parser.add_argument("--pp", type=float, default=20_000.0, help="prompt tokens per second")
    parser.add_argument("--tg", type=float, default=2_000.0, help="generated tokens per second")
    parser.add_argument("--slowdown", type=float, default=1.0, help="divides both speeds: a planted regression")
    parser.add_argument("--trend", type=float, default=0.0, help="percent by which each answer is faster than the last")
    parser.add_argument(
        "--noise", type=float, default=0.0, help="percent by which answers vary, as a normal distribution"
    )
    parser.add_argument("--seed", type=int, default=1, help="of that noise")
    parser.add_argument("--n-ctx", type=int, default=131_072)
    parser.add_argument("--engine", choices=["ik_llama", "llama_cpp", "unknown"], default="llama_cpp")
    parser.add_argument("--load-s", type=float, default=0.0, help="seconds until ready")
    parser.add_argument("--drafted", type=int, default=4, help="draft tokens per round")
    parser.add_argument("--accepted", type=int, default=0, help="of which accepted; 0: no drafts")
    parser.add_argument("--round-ms", type=float, help="time of a round; by default what --tg leaves for its tokens")
    parser.add_argument(
        "--drops",
        action="store_true",
        help="count a whole last round and drop what is beyond the limit, as ik_llama does",
    )
    parser.add_argument(
        "--answer", type=int, default=0, help="tokens until the model ends an answer by itself; 0: never"
    )
    parser.add_argument("--say", type=Path, help="answer every question to which an end is free with this file's text")
    parser.add_argument("--api-key-file", type=Path, help="refuse POST without a key of this file")
    parser.add_argument("--fault", choices=FAULTS)
    parser.add_argument("--version", action="version", version="version: 1 (standin)")
    options, _ = parser.parse_known_args()  # a real llama-server's command line may follow
    if options.fault == "exit":
        print("loading model\nggml_cuda_init: failed to initialize CUDA: no CUDA-capable device is detected")
        sys.exit(1)
    server = Server(options)
    print(f"http://{options.host}:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
