"""How well a model foretells a text, by the engine's own llama-perplexity.

The tool cuts the text into chunks of CHUNK tokens and scores the second half of each. It prints the perplexity of the
chunks so far, `[1]5.1234,[2]4.9876,…` (examples/perplexity/perplexity.cpp of ik_llama.cpp); from these each chunk's own mean
negative log-likelihood follows. Chunk i of one run is the same text as chunk i of another, so that two runs are compared
chunk by chunk, where what makes one chunk harder than another falls out.
"""

from __future__ import annotations

import math
import re
from itertools import pairwise
from typing import TYPE_CHECKING

from gpubox.argv import written

if TYPE_CHECKING:
    from gpubox.profile import Profile

TOOL = "llama-perplexity"
CHUNK = 256  # tokens; ik_llama.cpp takes 128 and more

_SO_FAR = re.compile(r"\[(\d+)\](nan|inf|\d+(?:\.\d+)?),", re.IGNORECASE)
# Not of the model's computation: its name, its address, how tokens are drawn, and drafts, which change no likelihood.
_LEFT_OUT = {"port", "security", "sampling", "speculative"}
_SERVED = {"ctx_size", "batch_size", "parallel", "alias", "jinja"}


def tool_arguments(profile: Profile, *, model: str, text: str) -> tuple[str, ...]:
    """Return the tool's arguments: those of the profile that decide where and how the model is computed.

    Args:
        profile: the resolved profile.
        model: path of the model file as the tool sees it.
        text: path of the text as the tool sees it.
    """
    pieces = written(profile, name="", model=model, host="", port=0)
    kept = [
        word
        for place, words in pieces
        if place and place[0] not in _LEFT_OUT and not (place[0] == "server" and place[1] in _SERVED)
        for word in words
    ]
    return (*kept, "--ctx-size", str(CHUNK), "--batch-size", str(CHUNK), "--file", text)


def chunk_likelihoods(printed: str) -> list[float]:
    """Return the mean negative log-likelihood of each chunk, nats per token, in the text's order.

    Args:
        printed: the tool's standard output.

    Returns:
        As many as were printed in order without a gap; none where the first is no number.
    """
    sums = [0.0]
    for number, shown in _SO_FAR.findall(printed):
        perplexity = float(shown)
        if int(number) != len(sums) or not math.isfinite(perplexity) or perplexity <= 0:
            break
        sums.append(len(sums) * math.log(perplexity))
    return [after - before for before, after in pairwise(sums)]
