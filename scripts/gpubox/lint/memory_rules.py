"""What the plan itself has to say: what does not fit, what is assumed, and what lies idle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpubox.lint.finding import Finding
from gpubox.placement.model import RECURRENT_ARCHITECTURES
from gpubox.placement.overrides import HOST
from gpubox.placement.sizes import GIB, MIB, gib_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpubox.lint.command_line import CommandLine

_IDLE_WORTH_TELLING = 64 * MIB


def memory_findings(line: CommandLine) -> Iterator[Finding]:
    """Yield what the placement has to say."""
    placement, model = line.placement, line.model
    for device in placement.devices:
        if device.over:
            what = f"needs {device.total / MIB:.0f} MiB of {(device.free or 0) / MIB:.0f}: {device.over / MIB:.0f} too many"
            if device.close:
                what += " after the first long prompt, within the plan's error: it starts, and may end at that prompt"
            yield Finding("warning" if device.close else "error", device.name, what)
    yield from _host(line)
    yield from _assumed(line)
    if placement.uncertain:
        what = "a few MiB of free memory more or less move the boundary between GPUs by one layer"
        yield Finding("note", "layer split", what, "llama.cpp:3611-3640", "set --tensor-split to fix it")
    idle = sum(
        tensor.nbytes
        for name, tensor in model.tensors.items()
        if ".indexer." in name and placement.weights.homes.get(name, HOST) != HOST
    )
    if idle >= _IDLE_WORTH_TELLING and placement.split_mode == "layer":
        what = f"{idle / MIB:.0f} MiB of its weights lie on GPUs unused: attention is computed in full"
        yield Finding("note", "sparse-attention indexer", what, "load-tensors.cpp:2797-2806")
    if any(word.option and word.option.name == "--model-draft" for word in line.words):
        what = "the draft model's memory is not in this plan"
        yield Finding("warning", "--model-draft", what, "not modelled")


def _assumed(line: CommandLine) -> Iterator[Finding]:
    placement, model = line.placement, line.model
    if model.architecture in RECURRENT_ARCHITECTURES:
        what = "recurrent layers keep a state and not a KV cache; the plain rule counts a KV cache for every layer"
        yield Finding("warning", model.architecture, what, "assumed")
    elif not model.known:
        what = "follows the plain rule: grouped-query attention and the feed-forward part that its tensors show"
        yield Finding("note", model.architecture, what, "assumed; no rule of its own for this architecture")
    if placement.machine.gpus:
        most = max(placement.devices[:-1], key=lambda gpu: gpu.cuda + gpu.pools)
        what = (
            f"CUDA and its pools take {most.cuda / MIB:.0f} MiB of a GPU at ready"
            f" and {(most.cuda + most.pools) / MIB:.0f} MiB after the first long prompt"
        )
        yield Finding("note", "CUDA context", what, "measured on H200s; other GPUs differ by some hundred MiB")
    if placement.machine.whole:
        what = "the box's facts say what each GPU has, not what is free of it: other users of a GPU come on top"
        yield Finding("note", "GPU memory", what, "nvidia-smi, memory.total", "give --gpu SIZE for each to be exact")
    if placement.split_mode in {"graph", "attn"} and not model.mla:
        what = "compute buffers are those of whole layers; weights and KV cache follow the source"
        yield Finding("note", "--split-mode graph", what, "measured for latent attention alone")


def _host(line: CommandLine) -> Iterator[Finding]:
    placement = line.placement
    host = placement.host
    if host.free is None:
        return
    cache = line.flags.cache_ram_mib * MIB
    if not host.over and cache > 0 and host.total + cache > host.free:
        what = f"the prompt cache may grow to {gib_text(cache)}, and {(host.free - host.total) / GIB:.1f} GiB are left"
        yield Finding("warning", "--cache-ram", what, "the default is 8192 MiB", "lower it; 0 turns it off")
    if placement.weights.mapped and placement.weights.host_bytes:
        left = host.free - (host.total - host.weights)
        if placement.weights.host_bytes > left:
            what = (
                f"the mapped part of the file, {gib_text(host.weights)}, is more than page cache can hold, {gib_text(left)}: "
                "every pass reads from the disk"
            )
            yield Finding("warning", host.name, what, "", "use a smaller quantisation")
    elif host.weights > GIB:
        what = f"{gib_text(host.weights)} of weights are read into pinned memory and not mapped"
        why = "tensors kept on the CPU by an override, or merged ones, turn mmap off, load-tensors.cpp:4555 and 2790"
        yield Finding("note", host.name, what, why)
