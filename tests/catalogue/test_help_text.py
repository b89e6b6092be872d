"""Catalogues read from help texts."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpubox.catalogue import Catalogue, Option, check_argv, parse_help
from gpubox.errors import GpuboxError

HERE = Path(__file__).parent
IK = Catalogue.load("ik_llama", "29a54f4")


def test_llama_cpp_help_is_read_whole() -> None:
    catalogue = parse_help((HERE / "llama_cpp-help.txt").read_text(), "llama_cpp", "b9000")
    assert (catalogue.engine, catalogue.commit) == ("llama_cpp", "b9000")
    assert catalogue.options == (
        Option(("--help", "--usage", "-h")),
        Option(("--version",)),
        Option(("--threads", "-t"), ("number",), default=-1),
        Option(("--ctx-size", "-c"), ("number",), default=0),
        Option(("--predict", "--n-predict", "-n"), ("number",), default=-1),
        Option(("--flash-attn", "-fa"), ("text",), ("on", "off", "auto"), default="auto"),
        Option(("--no-kv-offload", "-nkvo")),
        Option(("--cache-type-k", "-ctk"), ("text",)),
        Option(("--defrag-thold", "-dt"), ("number",), note="is deprecated"),
        Option(("--mmap",), default=True, setting="mmap"),
        Option(("--no-mmap",), default=True, setting="mmap"),
        Option(("--override-tensor", "-ot"), ("tensor_override",)),
        Option(("--cpu-moe", "-cmoe")),
        Option(("--gpu-layers", "--n-gpu-layers", "-ngl"), ("number",), default=-1),
        Option(("--split-mode", "-sm"), ("text",), ("none", "layer", "row")),
        Option(("--tensor-split", "-ts"), ("text",)),
        Option(("--lora",), ("text",), repeatable=True),
        Option(("--lora-scaled",), ("text", "text"), repeatable=True),
        Option(("--hf-repo", "-hf", "-hfr"), ("text",)),
        Option(("--temp",), ("number",), default=0.8),
        Option(("--cont-batching", "-cb"), default=True, setting="cont-batching"),
        Option(("--no-cont-batching", "-nocb"), default=True, setting="cont-batching"),
        Option(("--port",), ("number",), default=8080),
        Option(
            ("--draft", "--draft-n", "--draft-max"),
            ("number",),
            replacement="what its help says: the argument has been removed. use --spec-draft-n-max",
        ),
    )


def test_ik_llama_help_agrees_with_the_shipped_catalogue_but_for_its_own_errors() -> None:
    read = parse_help((HERE / "ik_llama-29a54f4-help.txt").read_text())
    assert len(read.options) == 262
    differences = []
    for option in read.options:
        known = {IK.option(name) for name in option.names}
        shipped = known.pop()
        if known or shipped is None or shipped.values is None:
            differences.append(f"{', '.join(option.names)}: several options")
        elif option.values is not None and len(option.values) != len(shipped.values):
            differences.append(f"{option.name}: takes {len(shipped.values)}, not {len(option.values)}")
        elif shipped.values and option.default not in {None, shipped.default}:
            differences.append(f"{option.name}: default {shipped.default!r}, not {option.default!r}")
    assert differences == [
        "--threads: default None, not 16",  # the machine's number of cores
        "--top-p: default 0.95, not 0.9",  # printed with one digit
        "--min-p: default 0.05, not 0.1",
        "--allowlist-keyword-delay: default None, not 18726057459883",  # never initialised
        "--skip-chat-parsing: takes 1, not 0",
        "--no-prefill-assistant: takes 1, not 0",
        "--parallel-tool-calls, -ptc: several options",
        "--cache-type-k-last, -ctv-last: several options",
        "--cache-type-v-last, -ctk-last: several options",
        "--ppl-output-type: default 0, not '0'",
        "--log-format: default 'text', not 'json'",
    ]


def test_the_help_of_a_gpu_build_tells_gpu_options_and_not_all_that_the_server_takes() -> None:
    read = parse_help((HERE / "ik_llama-29a54f4-help.txt").read_text())
    for flag in ("-ngl", "-ngld", "-sm", "-ts", "-dev", "-devd", "-mg", "--max-gpu"):
        assert read.option(flag)
    for flag in ("-ot", "-cmoe", "-ncmoe", "--alias", "--warmup-batch"):
        assert read.option(flag) is None
        assert IK.option(flag)


def test_a_catalogue_from_ik_llama_help_checks_what_it_knows() -> None:
    read = parse_help((HERE / "ik_llama-29a54f4-help.txt").read_text())
    argv = [
        "-mla",
        "3",
        "--merge-qkv",
        "-cuda",
        "graphs=1",
        "-c",
        "4k",
        "--embeddings",
        "--scheduler_async",
        "-fa",
        "maybe",
    ]
    assert [str(finding) for finding in check_argv(read, argv)] == [
        "error: argument 6 (-c): '4k' is not a number; the engine would read 4",
        "error: argument 10 (-fa): does not take 'maybe'; one of: auto, on, off, 0, 1",
    ]


@pytest.mark.parametrize("text", ["", "bash: llama-server: command not found\n"])
def test_a_text_without_options_is_refused(text: str) -> None:
    with pytest.raises(GpuboxError) as error:
        parse_help(text)
    assert str(error.value) == "--help: describes no option; capture the output of `llama-server --help`"
