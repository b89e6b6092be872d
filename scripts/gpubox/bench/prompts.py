"""Prompts of an exact number of tokens, counted by the server's own tokenizer.

Words are drawn with a seed, tokenized by the server, cut to length, turned back into text, and counted again until
the count is exact: no tokenizer is downloaded, and what is sent is ordinary text, as a real client sends it.
"""

from __future__ import annotations

import random
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Literal

from gpubox.errors import EndpointError

if TYPE_CHECKING:
    from gpubox.endpoint import Endpoint

Route = Literal["completion", "chat"]

_ATTEMPTS = 12


@cache
def vocabulary() -> list[str]:
    """Return the common English words that prompts are made of."""
    return resources.files("gpubox.bench").joinpath("words.txt").read_text("utf-8").split()


class PromptMaker:
    """Makes prompts for one endpoint.

    Args:
        endpoint: whose tokenizer counts.
        route: `completion` sends the text itself; `chat` wraps it in the model's template, whose tokens count too.

    Attributes:
        correction: tokens that the server adds beyond what its tokenizer says; set it when a sample shows some.
    """

    def __init__(self, endpoint: Endpoint, route: Route) -> None:
        self._endpoint = endpoint
        self.route = route
        self.correction = 0
        self._tokens_per_word = 1.0

    def make(self, n_tokens: int, seed: str, after: str = "") -> str:
        """Return a text that the server counts as exactly `n_tokens` tokens, template and special tokens included.

        Args:
            n_tokens: at least 1.
            seed: equal seeds give equal texts, different seeds texts that differ from the first word on; a longer text
                of the same seed goes on where a shorter one ends.
            after: a text that comes first and whose tokens count too.

        Raises:
            EndpointError: no text of that count was found, or the template alone is longer.
        """
        words = random.Random(seed)  # noqa: S311  # test data, not a secret
        text = f"{after} {self._words(words, n_tokens)}".lstrip()
        room = n_tokens - self.count("")
        if room < 1:
            fault = f"{n_tokens} prompt tokens are not more than the {n_tokens - room} that the server adds itself"
            raise EndpointError(self._endpoint.url, fault, "ask for a longer prompt")
        ids = self._tokenize(text)
        while len(ids) < room:
            self._tokens_per_word = max(0.25, len(ids) / max(1, len(text.split())))
            text += " " + self._words(words, room - len(ids))
            ids = self._tokenize(text)
        self._tokens_per_word = max(0.25, len(ids) / len(text.split()))
        text = self._detokenize(ids[:room])
        nearest = n_tokens
        for _ in range(_ATTEMPTS):
            missing = n_tokens - self.count(text)
            if missing == 0:
                return text
            nearest = n_tokens - missing
            if missing < 0:
                ids = self._tokenize(text)
                text = self._detokenize(ids[: max(1, len(ids) + missing)])
            else:
                text = text.rstrip() + self._detokenize(self._tokenize(" " + self._words(words, missing))[:missing])
        fault = f"no prompt of exactly {n_tokens} tokens was found (the nearest has {nearest})"
        raise EndpointError(self._endpoint.url, fault, "try another --pp or --seed")

    def count(self, text: str) -> int:
        """Return how many tokens the server will see when `text` is sent."""
        if self.route == "chat":
            messages = [{"role": "user", "content": text}]
            answer = self._endpoint.post_json("/apply-template", {"messages": messages})
            text = str(answer.get("prompt", ""))
        return len(self._tokenize(text, add_special=True)) + self.correction

    def _words(self, words: random.Random, n_tokens: int) -> str:
        return " ".join(words.choices(vocabulary(), k=int(n_tokens / self._tokens_per_word * 1.05) + 8))

    def _tokenize(self, text: str, *, add_special: bool = False) -> list[int]:
        answer = self._endpoint.post_json("/tokenize", {"content": text, "add_special": add_special})
        tokens = answer.get("tokens")
        if not isinstance(tokens, list):
            raise EndpointError(f"{self._endpoint.url}/tokenize", "answered without tokens")
        return tokens

    def _detokenize(self, tokens: list[int]) -> str:
        answer = self._endpoint.post_json("/detokenize", {"tokens": tokens})
        text = answer.get("content")
        if not isinstance(text, str):
            raise EndpointError(f"{self._endpoint.url}/detokenize", "answered without content")
        return text
