"""Results as llama-sweep-bench of ik_llama.cpp prints them with `--output-format jsonl`."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING

from gpubox.results.llama_bench import answer_tokens, prompt_tokens
from gpubox.results.llama_settings import settings, threads
from gpubox.results.metrics import PP, TG
from gpubox.results.serial import dumps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from gpubox.record import Run, Sample


def sweep_bench(measured: Iterable[tuple[Run, Sequence[Sample]]]) -> Iterator[str]:
    """Give one line per run with a valid PP and TG; times in seconds, `n_kv` the tokens before the prompt.

    There TG is measured at `n_kv`, by gpubox after the prompt. What is not known is null.
    """
    for run, samples in measured:
        pp, tg = PP.known(samples), TG.known(samples)
        if not pp or not tg:
            continue
        server, told = run.profile_document.get("server", {}), settings(run)
        n_prompt, n_gen = prompt_tokens(run, samples), answer_tokens(run, samples)
        speed_pp, speed_tg = fmean(pp), fmean(tg)
        line = {
            "n_kv_max": server.get("ctx_size", run.engine.get("n_ctx")),
            "n_batch": told["n_batch"],
            "n_ubatch": told["n_ubatch"],
            "flash_attn": None if told["flash_attn"] is None else int(told["flash_attn"]),
            "n_gpu_layers": told["n_gpu_layers"],
            "n_threads": threads(run, batch=False),
            "n_threads_batch": threads(run, batch=True),
            "pp": n_prompt,
            "tg": n_gen,
            "n_kv": run.workload.depth,
            "t_pp": n_prompt / speed_pp,
            "speed_pp": speed_pp,
            "t_tg": n_gen / speed_tg,
            "speed_tg": speed_tg,
        }
        yield dumps(line) + "\n"
