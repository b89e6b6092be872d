"""Tensor overrides that do nothing: of a rule, or of an alternative inside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpubox.lint.alternatives import alternatives, split_in_two
from gpubox.lint.finding import Finding
from gpubox.placement.flags import parse_overrides
from gpubox.placement.overrides import HOST, Rule, compile_pattern
from gpubox.placement.sizes import MIB
from gpubox.placement.weights import is_merged_projection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpubox.lint.alternatives import Alternative
    from gpubox.lint.command_line import CommandLine
    from gpubox.placement.model import Model

_NEWER = "gate_up"  # newer files' merged matrix, which `experts` and --n-cpu-moe write along with the two of older ones
_SILENT = "the engine says nothing about a rule that matches no tensor, load-tensors.cpp:446"


def override_findings(line: CommandLine) -> Iterator[Finding]:
    """Yield what is wrong with the overrides, in their order."""
    written = [rule for rule in line.placement.rules if rule.written is not None]
    indices = [word.index for word in line.words if word.option and word.option.name == "--override-tensor"]
    places = [index for index in indices for value in line.argv[index + 1 : index + 2] for _ in parse_overrides(value)]
    for rule, index in zip(written, places, strict=True):
        where = f"{line.argv[index]} '{rule.pattern}'"
        yield from _rule_findings(line, rule, index, where)


def _rule_findings(line: CommandLine, rule: Rule, index: int, where: str) -> Iterator[Finding]:
    model, placement = line.model, line.placement
    if compile_pattern(rule.pattern) is None:
        yield Finding("error", where, "is no regular expression", instead="see `gpubox check`", index=index)
        return
    if rule.device is None:
        gpus = len(placement.machine.gpus)
        there = f"{gpus} GPU{'s' * (gpus != 1)}" if gpus else "no GPU"
        buffer = placement.flags.overrides[rule.written or 0][1]
        what = f"names {buffer}, and the server sees {there}"
        yield Finding(
            "error", where, what, "common.cpp:823, it lists what there is and ends", "write CPU or CUDA0", index
        )
        return
    matched = _matched(model, rule.pattern)
    if not matched:
        yield Finding("warning", where, "matches no tensor of this model", _SILENT, "leave it out or mend it", index)
        return
    own = [name for name in matched if placement.weights.taken_by.get(name) is rule]
    merged = [name for name in matched if is_merged_projection(model, placement.flags, name)]
    if not own and len(merged) < len(matched):
        fault = f"never comes to act: earlier rules take all {len(matched)} tensors that it matches"
        yield Finding("warning", where, fault, "the first match wins, load-tensors.cpp:446", "put it first", index)
    if merged:
        fault = f"does not move {len(merged)} merged projections"
        why = "--merge-qkv makes them past the overrides, load-tensors.cpp:2782"
        yield Finding("warning", where, fault, why, "leave --merge-qkv out", index)
    yield from _alternative_findings(line, rule, index, where)


def _alternative_findings(line: CommandLine, rule: Rule, index: int, where: str) -> Iterator[Finding]:
    for alternative in alternatives(rule.pattern):
        if alternative.text == _NEWER or _matched(line.model, alternative.only):
            continue
        what = f"its alternative '{alternative.text}' matches no tensor of this model"
        intended = _intended(line, rule, alternative)
        if intended is None:
            yield Finding("warning", where, what, _SILENT, "leave it out or mend it", index)
            continue
        text, count, cost = intended
        device = "the host" if rule.device == HOST else f"CUDA{rule.device}"
        effect = f"that moves {count} more tensors, {cost / MIB:.0f} MiB, to {device}"
        if rule.device is not None and rule.device != HOST and rule.device < len(line.placement.devices) - 1:
            target = line.placement.devices[rule.device]
            if target.free is not None and target.total + cost > target.free:
                effect += f", which would not fit: {(target.total + cost) / MIB:.0f} of {target.free / MIB:.0f} MiB"
        yield Finding("warning", where, what, _SILENT, f"if '{text}' is meant, {effect}", index)


def _intended(line: CommandLine, rule: Rule, alternative: Alternative) -> tuple[str, int, int] | None:
    """Return the alternative with its missing `|`, and the tensors and bytes that it would move; None if unclear."""
    model, placement = line.model, line.placement
    for candidate in split_in_two(alternative.text):
        halves = candidate.split("|")
        if len(halves) != 2 or halves[0] == halves[1]:
            continue
        matches = [_matched(model, alternative.replaced(half)) for half in halves]
        if not all(matches):
            continue
        names = {name for match in matches for name in match}
        moved = [name for name in names if placement.weights.homes.get(name, rule.device) != rule.device]
        if moved:
            return candidate, len(moved), sum(model.tensors[name].nbytes for name in moved)
    return None


def _matched(model: Model, pattern: str) -> list[str]:
    """Return the tensors that a pattern matches."""
    compiled = compile_pattern(pattern)
    return [name for name in model.tensors if compiled.search(name)] if compiled else []
