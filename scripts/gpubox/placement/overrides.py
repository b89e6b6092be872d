"""Tensor overrides: which rule takes a tensor, and what `--n-cpu-moe` adds to them.

Rules are searched for (std::regex_search, unanchored) in the order of the command line, and the first that matches wins;
those of `-cmoe` and `--n-cpu-moe` come after all of `-ot` (load-tensors.cpp:253-335 and 444-453 of ik_llama.cpp at
29a54f4).
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from gpubox.placement.single_precision import f32
from gpubox.placement.sizes import MIB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpubox.placement.flags import Flags

HOST = -1  # the device number of host memory
_CUDA = re.compile(r"CUDA(\d+)")
_POSIX_CLASSES = {
    "digit": "0-9", "alpha": "A-Za-z", "alnum": "A-Za-z0-9", "lower": "a-z", "upper": "A-Z", "space": r"\s",
    "xdigit": "0-9A-Fa-f", "punct": r"!-/:-@\[-`{-~", "blank": r" \t", "word": r"\w", "d": "0-9", "w": r"\w", "s": r"\s",
}  # fmt: skip  # a table


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        pattern: the regular expression as written (ECMAScript).
        device: the GPU's number, or HOST; None where the buffer is none of this box.
        written: which `-ot` it is, from 0; None for those that `--n-cpu-moe` adds.
    """

    pattern: str
    device: int | None
    written: int | None = None

    def matches(self, name: str) -> bool:
        """Return whether the rule takes a tensor."""
        compiled = compile_pattern(self.pattern)
        return compiled is not None and compiled.search(name) is not None


@cache
def compile_pattern(pattern: str) -> re.Pattern[str] | None:
    """Return a pattern of ECMAScript in Python's own; None where it is faulty, which `gpubox check` reports."""
    text = re.sub(r"\[:(\w+):\]", lambda match: _POSIX_CLASSES.get(match[1], match[0]), pattern)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        try:
            return re.compile(text, re.ASCII)
        except re.error:
            return None


def device_number(buffer: str) -> int | None:
    """Return the device that a buffer's name stands for; None for one that is neither CPU nor CUDA."""
    match = _CUDA.fullmatch(buffer)
    if match:
        return int(match[1])
    return HOST if buffer == "CPU" else None


def rules_of(flags: Flags, n_layer: int, gpus: int, layer_devices: Sequence[int]) -> list[Rule]:
    """Return all rules in the order in which they are tried.

    Args:
        flags: the flags.
        n_layer: the model's layers, draft layers included.
        gpus: the number of GPUs.
        layer_devices: the GPU that each layer is given by the layer split, also of those that stay on the host.
    """
    rules = []
    for index, (pattern, buffer) in enumerate(flags.overrides):
        device = device_number(buffer)
        rules.append(Rule(pattern, None if device is not None and device >= gpus else device, index))
    layers = cpu_expert_layers(flags, n_layer, gpus, layer_devices)
    if layers:  # one rule a layer for the engine; they say the same
        numbers = "|".join(map(str, sorted(layers)))
        rules.append(Rule(rf"blk\.({numbers})\.ffn_(up|down|gate|gate_up)_exps\.(weight|scale)", HOST))
    return rules


def cpu_expert_layers(flags: Flags, n_layer: int, gpus: int, layer_devices: Sequence[int]) -> list[int]:
    """Return the layers whose experts `--n-cpu-moe` sends to the host.

    The first ones on one GPU and in split mode graph; else a share of each GPU's layers, counted from its last
    (load-tensors.cpp:263-335). Dense layers count, although there is nothing to send.
    """
    wanted = flags.n_cpu_moe
    if wanted <= 0:
        return []
    if flags.splits_tensors or wanted >= n_layer or gpus < 2:
        return list(range(min(wanted, n_layer)))
    if flags.split_mode != "layer":
        return []
    shares = _shares([layer_devices[:n_layer].count(gpu) for gpu in range(gpus)], wanted, n_layer)
    chosen = []
    for layer in range(n_layer - 1, -1, -1):
        if shares[layer_devices[layer]] > 0:
            shares[layer_devices[layer]] -= 1
            chosen.append(layer)
    return chosen


def _shares(counts: Sequence[int], wanted: int, n_layer: int) -> list[int]:
    """Return how many of the wanted layers each GPU gives up, in proportion to its layers; rounding decides ties."""
    fair = [f32(count * wanted / n_layer) for count in counts]
    shares = [int(f32(f32(count / n_layer) * wanted) + 0.5) for count in counts]
    while sum(shares) > wanted:
        candidates = [gpu for gpu, share in enumerate(shares) if share]
        shares[max(candidates, key=lambda gpu: f32(shares[gpu] - 1 - fair[gpu]))] -= 1
    while sum(shares) < wanted:
        candidates = [gpu for gpu, share in enumerate(shares) if share < counts[gpu]]
        if not candidates:
            break
        shares[min(candidates, key=lambda gpu: f32(shares[gpu] + 1 - fair[gpu]))] += 1
    return shares


def size_text(nbytes: int) -> str:
    """Return a size for a message, in MiB."""
    return f"{nbytes / MIB:.0f} MiB"
