"""Serve llama.cpp from the PyPI package xllamacpp by a llama-server command line: `python -m gpubox.llama_launcher -m FILE …`.

It stands in for a llama-server executable where none is installed, so that the demo and the tests run the real engine.
It knows the flags of `OPTIONS`, which mean the same to llama.cpp and ik_llama.cpp, and refuses all others with exit
status 1 and ik_llama.cpp's words.

SIGTERM and SIGINT end it with status 0 from a moment after it begins to listen; before, in the load, which no Python
handler can interrupt, they simply end the process. It does not outlive its parent.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from gpubox.errors import GpuboxError
from gpubox.server_guard import die_with_parent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Setter = Callable[[Any, str], None]


@dataclass(frozen=True)
class Option:
    """One option of the command line.

    Attributes:
        names: every spelling.
        value: the value's name in the help; empty for an option without one.
        apply: sets fields of an `xllamacpp.CommonParams`; raises ValueError, KeyError or OSError for a bad value.
    """

    names: tuple[str, ...]
    value: str
    apply: Setter


def field(path: str, convert: Callable[[str], Any]) -> Setter:
    """Return a setter that stores the converted value at a dotted path (`sampling.temp`)."""
    owner, _, name = path.rpartition(".")

    def apply(params: Any, text: str) -> None:  # noqa: ANN401 - a Cython class without stubs
        setattr(attrgetter(owner)(params) if owner else params, name, convert(text))

    return apply


def fixed(path: str, value: object) -> Setter:
    """Return the setter of an option without a value."""
    return field(path, lambda _: value)


def member(path: str, enum: str, members: Mapping[str, str], *, many: bool = False) -> Setter:
    """Return a setter of an xllamacpp enumeration, from the words of the command line to its members' names."""

    def convert(text: str) -> object:
        value = getattr(getattr(_xllamacpp(), enum), members[text])
        return [value] if many else value

    return field(path, convert)


def load_mode(*, mmap: bool | None = None, mlock: bool | None = None) -> Setter:
    """Return a setter for one half of the load mode, which holds both `--no-mmap` and `--mlock`."""

    def apply(params: Any, _: str) -> None:  # noqa: ANN401 - a Cython class without stubs
        current = params.load_mode.name.removeprefix("LLAMA_LOAD_MODE_")
        has_mmap = current in {"AUTO", "MMAP", "MMAP_MLOCK"} if mmap is None else mmap
        has_mlock = current in {"MLOCK", "MMAP_MLOCK"} if mlock is None else mlock
        wanted = "_".join(word for word, on in (("MMAP", has_mmap), ("MLOCK", has_mlock)) if on) or "NONE"
        params.load_mode = getattr(_xllamacpp().llama_load_mode, f"LLAMA_LOAD_MODE_{wanted}")

    return apply


def layers(text: str) -> int:
    """Convert a number of layers, `auto` or `all`."""
    return {"auto": -1, "all": -2}.get(text) or int(text)


def template_arguments(text: str) -> dict[str, str]:
    """Convert a JSON object to what xllamacpp keeps: each value as JSON text."""
    values = json.loads(text)
    if not isinstance(values, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - main() turns it into llama-server's words
    return {str(key): json.dumps(value) for key, value in values.items()}


def lines_of(path: str) -> list[str]:
    """Return the lines of a file that aren't empty."""
    return [line for line in Path(path).read_text(encoding="utf-8").splitlines() if line]


CACHE_TYPES = {
    name.lower(): f"GGML_TYPE_{name}"
    for name in ("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "IQ4_NL", "Q5_0", "Q5_1")
}
FLASH_ATTENTION = {
    word: f"LLAMA_FLASH_ATTN_TYPE_{state}"
    for state, words in {"ENABLED": "on 1", "DISABLED": "off 0", "AUTO": "auto"}.items()
    for word in words.split()
}
SPLIT_MODES = {word: f"LLAMA_SPLIT_MODE_{word.upper()}" for word in ("none", "layer", "row")}
SPECULATIVE_TYPES = {
    word: f"COMMON_SPECULATIVE_TYPE_{word.upper().replace('-', '_')}"
    for word in ("none", "ngram-simple", "ngram-map-k", "ngram-map-k4v", "ngram-mod")
}
REASONING_FORMATS = {
    word: f"COMMON_REASONING_FORMAT_{word.upper().replace('-', '_')}"
    for word in ("none", "auto", "deepseek", "deepseek-legacy")
}

OPTIONS = (
    Option(("-m", "--model"), "FILE", field("model.path", str)),
    Option(("-a", "--alias"), "NAME", field("model_alias", lambda text: {text})),
    Option(("-c", "--ctx-size"), "N", field("n_ctx", int)),
    Option(("-b", "--batch-size"), "N", field("n_batch", int)),
    Option(("-ub", "--ubatch-size"), "N", field("n_ubatch", int)),
    Option(("-n", "--predict", "--n-predict"), "N", field("n_predict", int)),
    Option(("--keep",), "N", field("n_keep", int)),
    Option(("-np", "--parallel"), "N", field("n_parallel", int)),
    Option(("-t", "--threads"), "N", field("cpuparams.n_threads", int)),
    Option(("-tb", "--threads-batch"), "N", field("cpuparams_batch.n_threads", int)),
    Option(("-ngl", "--gpu-layers", "--n-gpu-layers"), "N", field("n_gpu_layers", layers)),
    Option(("-mg", "--main-gpu"), "N", field("main_gpu", int)),
    Option(("-sm", "--split-mode"), "MODE", member("split_mode", "llama_split_mode", SPLIT_MODES)),
    Option(("-ot", "--override-tensor"), "REGEX=BUFFER", field("tensor_buft_overrides", str)),
    Option(("-fa", "--flash-attn"), "on|off|auto", member("flash_attn_type", "llama_flash_attn_type", FLASH_ATTENTION)),
    Option(("-ctk", "--cache-type-k"), "TYPE", member("cache_type_k", "ggml_type", CACHE_TYPES)),
    Option(("-ctv", "--cache-type-v"), "TYPE", member("cache_type_v", "ggml_type", CACHE_TYPES)),
    Option(("-nkvo", "--no-kv-offload"), "", fixed("no_kv_offload", True)),
    Option(("-cb", "--cont-batching"), "", fixed("cont_batching", True)),
    Option(("-cram", "--cache-ram"), "MIB", field("cache_ram_mib", int)),
    Option(("--no-mmap",), "", load_mode(mmap=False)),
    Option(("--mlock",), "", load_mode(mlock=True)),
    Option(("--no-warmup",), "", fixed("warmup", False)),
    Option(
        ("--spec-type",), "TYPE", member("speculative.types", "common_speculative_type", SPECULATIVE_TYPES, many=True)
    ),
    Option(("--host",), "HOST", field("hostnames", lambda text: [text])),
    Option(("--port",), "PORT", field("port", int)),
    Option(("--threads-http",), "N", field("n_threads_http", int)),
    Option(("--api-key",), "KEY[,KEY]", field("api_keys", lambda text: text.split(","))),
    Option(("--api-key-file",), "FILE", field("api_keys", lines_of)),
    Option(("--metrics",), "", fixed("endpoint_metrics", True)),
    Option(("--props",), "", fixed("endpoint_props", True)),
    Option(("--slots",), "", fixed("endpoint_slots", True)),
    Option(("--no-slots",), "", fixed("endpoint_slots", False)),
    Option(("-sps", "--slot-prompt-similarity"), "SHARE", field("slot_prompt_similarity", float)),
    Option(("--jinja",), "", fixed("use_jinja", True)),
    Option(("--chat-template",), "TEMPLATE", field("chat_template", str)),
    Option(("--chat-template-file",), "FILE", field("chat_template", lambda text: Path(text).read_text("utf-8"))),
    Option(("--chat-template-kwargs",), "JSON", field("default_template_kwargs", template_arguments)),
    Option(
        ("-rea", "--reasoning"), "on|off|auto", field("enable_reasoning", {"on": 1, "off": 0, "auto": -1}.__getitem__)
    ),
    Option(("--reasoning-format",), "FORMAT", member("reasoning_format", "common_reasoning_format", REASONING_FORMATS)),
    Option(("--reasoning-budget",), "N", field("sampling.reasoning_budget_tokens", int)),
    Option(("-s", "--seed"), "N", field("sampling.seed", lambda text: int(text) % 2**32)),
    Option(("--temp",), "T", field("sampling.temp", float)),
    Option(("--top-k",), "K", field("sampling.top_k", int)),
    Option(("--top-p",), "P", field("sampling.top_p", float)),
    Option(("--min-p",), "P", field("sampling.min_p", float)),
    Option(("--repeat-penalty",), "X", field("sampling.penalty_repeat", float)),
    Option(("--presence-penalty",), "X", field("sampling.penalty_present", float)),
    Option(("--frequency-penalty",), "X", field("sampling.penalty_freq", float)),
    Option(("-lv", "--verbosity"), "N", field("verbosity", int)),
)
BY_NAME = {name: option for option in OPTIONS for name in option.names}


def read_command_line(argv: Sequence[str]) -> list[tuple[str, Option, str]]:
    """Split a command line into (name as written, option, value); nothing is converted yet.

    Underscores in long options count as dashes, as in both engines.

    Raises:
        GpuboxError: an unknown option, or one whose value is missing.
    """
    found = []
    words = iter(argv)
    for name in words:
        option = BY_NAME.get(name.replace("_", "-") if name.startswith("--") else name)
        if option is None:
            raise GpuboxError("error", f"unknown argument: {name}")
        value = next(words, None) if option.value else ""
        if value is None:
            raise GpuboxError("error", f"invalid parameter for argument: {name}")
        found.append((name, option, value))
    return found


def help_text() -> str:
    """Return the help: one line an option, in the order of the table."""
    lines = [f"  {', '.join(option.names)} {option.value}".rstrip() for option in OPTIONS]
    return "\n".join(
        ["usage: python -m gpubox.llama_launcher [options]", "", *lines, "  --version", "  -h, --help", ""]
    )


def version_text() -> str:
    """Return the build of the llama.cpp inside xllamacpp, in llama-server's form, and xllamacpp's version."""
    xllamacpp = _xllamacpp()
    build = xllamacpp.BUILD_INFO
    return (
        f"version: {build['build_number']} ({build['commit']})\n"
        f"built with {build['compiler']} for {build['build_target']}\n"
        f"xllamacpp {xllamacpp.__version__}\n"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until a signal; return the exit status."""
    die_with_parent(os.getppid(), signal.SIGTERM)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        if {"-h", "--help", "--usage"} & {*words}:
            sys.stdout.write(help_text())
        elif "--version" in words:
            sys.stdout.write(version_text())
        else:
            _serve(read_command_line(words))
    except GpuboxError as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    return 0


def _serve(options: Sequence[tuple[str, Option, str]]) -> NoReturn:
    xllamacpp = _xllamacpp()
    params = xllamacpp.CommonParams()
    params.port = 8080
    for name, option, value in options:
        try:
            option.apply(params, value)
        except (ValueError, KeyError, OverflowError, OSError) as exc:
            raise GpuboxError("error", f"invalid parameter for argument: {name}") from exc
    if not params.model.path:
        raise GpuboxError("error", "no model to serve", "give it with --model FILE")
    _check_address(params.hostnames[0], params.port)
    try:
        # Comes back ready to serve, in threads of its own that end with the object; holds the GIL until then.
        server = xllamacpp.Server(params)  # noqa: F841
    except RuntimeError as exc:
        raise GpuboxError("error", "llama.cpp did not start", "its log says why") from exc

    # A signal may be delivered to one of llama.cpp's own threads, so waiting in pause() could miss it.
    wake, waker = socket.socketpair()
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.fileno())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    wake.recv(1)
    os._exit(0)  # taking the server down in order would wait for the requests in flight


def _xllamacpp() -> Any:  # noqa: ANN401 - a module without stubs
    try:
        import xllamacpp  # noqa: PLC0415 - 100 MB of shared library
    except ImportError as exc:
        raise GpuboxError("error", "needs the Python package xllamacpp", "run: pip install 'gpubox[demo]'") from exc
    return xllamacpp


def _check_address(host: str, port: int) -> None:
    """Say in llama-server's words that the address is taken, before anything is loaded."""
    try:
        with socket.create_server((host, port)):
            pass
    except OSError as exc:
        raise GpuboxError("error", f"couldn't bind to server socket: hostname={host} port={port}") from exc


if __name__ == "__main__":
    sys.exit(main())
