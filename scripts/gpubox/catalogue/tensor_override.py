"""The value of `-ot`: `REGEX=BUFFER[,REGEX=BUFFER...]`.

Both engines split it at every `,` and each rule at its first `=` (common.cpp:823-853 of ik_llama.cpp at 29a54f4), before
they look at the regular expression, so neither sign can stand inside one.
"""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_BUFFER = re.compile(r"CPU|BLAS|Metal|(?P<cuda>CUDA)(?P<number>\d+)|(ROCm|MUSA|CANN|SYCL|Vulkan|Kompute|MTL)\d+|RPC.*")
# Groups of Python that std::regex (ECMAScript) lacks: lookbehind, names, inline flags, comments, conditions.
_FOREIGN_GROUP = re.compile(r"\(\?(?![:=!])[^)]?[^)]?")


def override_faults(value: str, gpus: int | None = None) -> Iterator[tuple[str, str]]:
    """Yield fault and remedy of everything that is wrong with a value of `-ot`.

    Args:
        value: the whole value.
        gpus: how many GPUs the engine will see; None where that is not known.
    """
    rules = value.split(",")
    for number, rule in enumerate(rules, start=1):
        where = f"rule {number} of {len(rules)}, {rule!r}, " if len(rules) > 1 else f"{rule!r} "
        regex, equals, buffer = rule.partition("=")
        if not equals:
            cut = "; a ',' can't stand inside a regex, since the engine splits there" if len(rules) > 1 else ""
            yield f"{where}has no '='{cut}", "write REGEX=BUFFER"
        elif "=" in buffer:
            yield f"{where}has two '='; one can't stand inside a regex, since the engine splits there", "use . for it"
        elif not regex:
            yield f"{where}has an empty regex, which matches every tensor", "write .* if that is meant"
        else:
            yield from _regex_faults(where, regex)
            yield from _buffer_faults(where, buffer, gpus)


def _regex_faults(where: str, regex: str) -> Iterator[tuple[str, str]]:
    foreign = _FOREIGN_GROUP.search(regex)
    if foreign:
        yield f"{where}has the group {foreign[0]!r}, which the engine's regexes (ECMAScript) lack", ""
        return
    with warnings.catch_warnings():
        # [[:digit:]] is sound ECMAScript, and Python only says that it might mean something else one day.
        warnings.simplefilter("ignore", FutureWarning)
        try:
            re.compile(regex)
        except re.error as error:
            yield f"{where}has a bad regex: {error}", ""


def _buffer_faults(where: str, buffer: str, gpus: int | None) -> Iterator[tuple[str, str]]:
    match = _BUFFER.fullmatch(buffer)
    if match is None:
        yield f"{where}has the unknown buffer {buffer!r}", "write CPU, CUDA0, CUDA1 and so on"
    elif gpus is not None and match["cuda"] and int(match["number"]) >= gpus:
        there = (
            "there is no GPU"
            if gpus == 0
            else "the only GPU is CUDA0"
            if gpus == 1
            else f"the last GPU is CUDA{gpus - 1}"
        )
        yield f"{where}names {buffer}, but {there}", ""
