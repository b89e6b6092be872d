"""Flags that do not do what they say, for this model and on this machine."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gpubox.ggml_types import type_named
from gpubox.lint.finding import Finding
from gpubox.placement.model import GRAPH_ARCHITECTURES, GROUPS_EXPERTS, MERGES_UP_GATE, MTP_ARCHITECTURES
from gpubox.placement.overrides import HOST
from gpubox.placement.placement import effective_mla, place
from gpubox.placement.sizes import MIB, gib_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpubox.lint.command_line import CommandLine

LONG_CONTEXT = 16_384  # tokens from which uncapped expansion of K and V is worth a word
_MUCH_HOST_MEMORY = 2**30
# Of one split of the graph (GGML_SCHED_MAX_SPLIT_INPUTS); tokens, positions and mask are three, a latent cache three views.
_MOST_INPUTS = 32


def flag_findings(line: CommandLine) -> Iterator[Finding]:
    """Yield what is to be said about single flags."""
    for rule in (_ignored, _latent, _split, _layers, _draft, _cache, _context, _threads):
        yield from rule(line)


def _ignored(line: CommandLine) -> Iterator[Finding]:
    arch, leave_out = line.model.architecture, "leave it out"
    if arch not in GROUPS_EXPERTS:
        why = "only bailingmoe2 groups experts, build-context.cpp:1104; the log says `grouped er = 1` all the same"
        yield from line.about("--grouped-expert-routing", "warning", f"does nothing for {arch}", why, leave_out)
    if arch not in MERGES_UP_GATE:
        why = "its experts are loaded without merging, load-tensors.cpp:2726-2840 and 3815"
        yield from line.about("--merge-up-gate-experts", "warning", f"does nothing for {arch}", why, leave_out)
    if not line.model.mla:
        for option in ("--mla-use", "--attention-max-batch"):
            why = "the model has no latent attention, llama.cpp:7059"
            yield from line.about(option, "warning", f"does nothing for {arch}", why, leave_out)
    if line.model.mla and line.placement.mla and line.flags.flash_attn:
        why = "latent attention keeps one tensor of K's type, llama.cpp:966"
        yield from line.about("--cache-type-v", "warning", "does nothing", why, "set --cache-type-k")
    if not line.model.n_expert:
        for option in ("--cpu-moe", "--n-cpu-moe"):
            yield from line.about(option, "warning", "does nothing: the model has no experts", "", leave_out)


def _latent(line: CommandLine) -> Iterator[Finding]:
    placement, flags, model = line.placement, line.flags, line.model
    if not model.mla:
        return
    if effective_mla(model, flags) != flags.mla:
        what = f"is overruled: MLA {placement.mla} is used, since only {flags.n_gpu_layers} of {model.n_layer} layers are on GPUs"
        instead = f"leave it out, or set --n-gpu-layers {model.n_layer + 1}"
        yield from line.about("--mla-use", "warning", what, "llama.cpp:3555 and 7063", instead)
    if placement.mla > 1 and flags.attention_max_batch == 0 and placement.n_ctx >= LONG_CONTEXT:
        capped = place(model, replace(flags, attention_max_batch=512), placement.machine)
        buffers = [max(device.compute for device in one.devices[:-1] or one.devices) for one in (placement, capped)]
        what = (
            f"attention expands K and V of all heads at once: compute buffers of {buffers[0] / MIB:.0f} MiB at "
            f"{placement.n_ctx} tokens instead of {buffers[1] / MIB:.0f} MiB"
        )
        word = line.find("--attention-max-batch")
        where = "--attention-max-batch 0" if word else "--attention-max-batch (not given)"
        why = "0 is the default and means no cap, build_deepseek2.cpp:499"
        yield Finding("warning", where, what, why, "add --attention-max-batch 512", word.index if word else None)


def _split(line: CommandLine) -> Iterator[Finding]:
    flags, placement = line.flags, line.placement
    gpus = len(placement.machine.gpus)
    if flags.splits_tensors:
        if gpus < 2:
            what, why = f"needs two or more GPUs, and there is {gpus}", "llama.cpp:3548"
            yield from line.about("--split-mode", "error", what, why, "leave it out")
        elif line.model.architecture not in GRAPH_ARCHITECTURES:
            what, why = f"is not supported for {line.model.architecture}: layer is used", "llama.cpp:3421"
            yield from line.about("--split-mode", "warning", what, why, "leave it out")
    if flags.split_mode == "none" and not 0 <= flags.main_gpu < max(gpus, 1):
        what = f"there is no such GPU: {gpus} are seen"
        yield from line.about(
            "--main-gpu", "error", what, "llama.cpp:3821 looks past the end of the list", "leave it out"
        )
    elsewhere = sum(len(gpu.layers) for number, gpu in enumerate(placement.devices[:-1]) if number != flags.main_gpu)
    if placement.split_mode == "none" and placement.mla and 3 + 3 * elsewhere > _MOST_INPUTS:
        what = (
            f"the server aborts in its warm-up: one GPU computes, and the KV cache of {elsewhere} layers is on others"
        )
        why = f"three inputs each, of at most {_MOST_INPUTS}, ggml-backend.cpp:1832; seen on two H200s"
        yield from line.about("--split-mode", "error", what, why, "give the server one GPU with `gpus: [0]`")
    if flags.fit:
        what = "the engine places the model itself; this plan is for the flags without it"
        yield from line.about("--fit", "note", what, "llama.cpp:3460")


def _layers(line: CommandLine) -> Iterator[Finding]:
    flags, model, placement = line.flags, line.model, line.placement
    if not placement.machine.gpus:
        return
    on_host = model.n_layer - flags.n_gpu_layers
    if on_host > 0 and flags.n_gpu_layers > 0:
        last = on_host - 1
        what = (
            f"layers {'0' if last == 0 else f'0 to {last}'} stay on the host, the first ones, and the output with them"
        )
        yield from line.about("--n-gpu-layers", "note", what, "i_gpu_start = n_layer - ngl, llama.cpp:3495 and 3809")
    elif on_host == 0:
        what = "the output stays on the host"
        instead = f"write {model.n_layer + 1} to take it along"
        yield from line.about("--n-gpu-layers", "note", what, "it needs more than n_layer, llama.cpp:3809", instead)
    elif flags.n_gpu_layers == 0:
        word = line.find("--n-gpu-layers")
        where = f"{word.flag} {word.values[0]}" if word and word.values else "--n-gpu-layers (not given)"
        what, instead = "no layer goes to a GPU", f"add --n-gpu-layers {model.n_layer + 1}"
        yield Finding(
            "warning", where, what, "the default is 0, common.cpp:4139", instead, word.index if word else None
        )
    dense = [layer for layer in range(model.n_layer) if not model.expert_bytes(layer)]
    counted = [layer for layer in dense if layer < flags.n_cpu_moe < model.n_layer]
    if counted:
        what = f"sends the experts of {flags.n_cpu_moe - len(counted)} layers: the {len(counted)} dense ones count too"
        yield from line.about("--n-cpu-moe", "note", what, "load-tensors.cpp:265")


def _draft(line: CommandLine) -> Iterator[Finding]:
    flags, model = line.flags, line.model
    if not flags.mtp:
        return
    if not model.n_draft:
        what = "the model has no NextN layer: MTP is dropped and the server runs on without it"
        yield from line.about("--spec-type", "warning", what, "speculative.cpp:1878", "leave it out")
    elif model.architecture not in MTP_ARCHITECTURES:
        what = f"MTP is not wired for {model.architecture}"
        yield from line.about("--spec-type", "warning", what, "llama.cpp:7091", "leave it out")
    elif line.placement.host.outputs >= _MUCH_HOST_MEMORY:
        what = f"MTP keeps the logits of whole batches: {gib_text(line.placement.host.outputs)} of pinned host memory"
        word = line.find("--batch-size")
        where = f"{word.flag} {word.values[0]}" if word else "--batch-size (not given)"
        why = "two contexts of n_vocab + n_embd values for each of the batch's tokens, llama.cpp:7478"
        instead = f"--batch-size {flags.ubatch_size} is enough"
        instead = instead if flags.ubatch_size < flags.batch_size else "lower --batch-size and --ubatch-size"
        yield Finding("note", where, what, why, instead, word.index if word else None)


def _cache(line: CommandLine) -> Iterator[Finding]:
    flags, model = line.flags, line.model
    for option, name in (("--cache-type-k", flags.cache_type_k), ("--cache-type-v", flags.cache_type_v)):
        kind = type_named(name)
        width = model.kv_rank + model.n_rot if line.placement.mla else model.head_k
        width = model.head_v if option == "--cache-type-v" else width
        if kind is None:
            yield from line.about(option, "error", f"{name} is no type of the engine", "it aborts, rc 134", "use q8_0")
        elif width % kind.block:
            what = f"{name} has blocks of {kind.block}, which heads of {width} do not divide into"
            yield from line.about(option, "error", what, "llama.cpp:7151, it aborts", "use f16 or q8_0")
    if not flags.flash_attn:
        what = "compute buffers are those with flash attention; without it they are larger"
        for option in ("--no-flash-attn", "--flash-attn"):
            yield from line.about(option, "warning", what, "not modelled", "leave it on")
    if not flags.kv_offload:
        what = "the effect on compute buffers is not modelled"
        yield from line.about("--no-kv-offload", "note", what)


def _context(line: CommandLine) -> Iterator[Finding]:
    model, flags = line.model, line.flags
    if model.n_ctx_train and flags.ctx_size > model.n_ctx_train:
        what = f"is more than the model was trained for, {model.n_ctx_train} tokens"
        yield from line.about("--ctx-size", "warning", what, "", "lower it, or set RoPE scaling")
    elif not flags.ctx_size:
        word = line.find("--ctx-size")
        what = f"takes the trained context, {model.n_ctx_train} tokens"
        where = "--ctx-size 0" if word else "--ctx-size (not given)"
        yield Finding("note", where, what, "llama.cpp:6982", "set it", word.index if word else None)


def _threads(line: CommandLine) -> Iterator[Finding]:
    cores = line.placement.machine.cores
    uses_cpu = any(home == HOST for home in line.placement.weights.homes.values())
    for option in ("--threads", "--threads-batch"):
        word = line.find(option)
        if cores and uses_cpu and word and word.values and word.values[0].isdigit() and int(word.values[0]) > cores:
            what = f"is more than the box has cores, {cores}"
            yield from line.about(option, "warning", what, "threads then wait for each other", f"use {cores} or fewer")
