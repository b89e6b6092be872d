"""llama-server's options as typed, bounded, described fields: `profile.server` and `profile.sampling`.

A field is the engine's long option with underscores (`n_gpu_layers` is `--n-gpu-layers`). A flag without a value is
`true` or left out. Bounds are what the option parser or the arithmetic behind it accepts (ik_llama.cpp at 29a54f4,
common/common.cpp); what a model or a box can bear is the planner's business. Options that few people need have no
field: they go into `extra_args`.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

CacheType = Literal[
    "f32", "f16", "bf16", "q8_0", "q8_KV", "q6_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"
]  # fmt: skip  # one line reads as the table that it is
OnOffAuto = Literal["on", "off", "auto"]
Text = Annotated[str, StringConstraints(min_length=1)]
Count = Annotated[int, Field(ge=1)]
UpToContext = Annotated[int, Field(ge=0, le=1 << 24)]

IK_ONLY = {"x-engines": ["ik_llama"]}


class Options(BaseModel):
    """A group of llama-server options; `argv()` writes those that are set."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    def argv(self) -> list[tuple[str, list[str]]]:
        """Return each option that is set, by its field, as words of a llama-server command line, in field order."""
        return [
            (name, ["--" + name.replace("_", "-"), *([] if value is True else [word(value)])])
            for name, value in self.written()
        ]

    def written(self) -> list[tuple[str, Any]]:
        """Return the fields that write something, as (name, value), in field order."""
        pairs = [(name, getattr(self, name)) for name in type(self).model_fields]
        return [(name, value) for name, value in pairs if value is not None and value is not False]


def word(value: object) -> str:
    """Return an option's value as llama-server reads it: maps become JSON, lists are joined by commas."""
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, (list, tuple)):
        return ",".join(str(item).removesuffix(".0") for item in value)
    return str(value)


def _option(description: str, *, extra: dict[str, Any] | None = None, **bounds: Any) -> Any:  # noqa: ANN401  # as pydantic's Field
    return Field(default=None, description=description, json_schema_extra=extra, **bounds)


class ServerOptions(Options):
    """Options of llama-server that shape memory, speed and the API."""

    # context and batching
    ctx_size: UpToContext | None = _option("KV cache length in tokens (0: the model's trained context)")
    batch_size: Count | None = _option("logical batch: most prompt tokens handed to the model at once")
    ubatch_size: Count | None = _option("physical batch: prompt tokens per pass; sizes the compute buffer")
    parallel: Count | None = _option("slots; the context is shared between them", le=256)
    threads: Count | None = _option("CPU threads for token generation", le=4096)
    threads_batch: Count | None = _option("CPU threads for prompt processing", le=4096)
    threads_http: Count | None = _option("threads that answer HTTP", le=4096)
    numa: Literal["distribute", "isolate", "numactl"] | None = _option("NUMA strategy")
    keep: int | None = _option("prompt tokens kept when the context shifts (-1: all)", ge=-1)
    predict: int | None = _option("tokens generated when a request names no limit (-1: no limit)", ge=-1)
    context_shift: OnOffAuto | None = _option("drop the oldest tokens when the context is full", extra=IK_ONLY)
    no_context_shift: bool | None = _option("stop instead of shifting when the context is full")
    cont_batching: bool | None = _option("batch requests as they come")
    no_cont_batching: bool | None = _option("serve one batch of requests at a time")
    cache_ram: int | None = _option("prompt cache in host RAM, MiB (0: none, -1: no limit)", ge=-1)
    cache_ram_similarity: float | None = _option("least similarity to reuse a cached prompt", ge=0, le=1, extra=IK_ONLY)
    cache_ram_n_min: int | None = _option("shortest prompt that is cached in RAM, tokens", ge=0, extra=IK_ONLY)
    ctx_checkpoints: int | None = _option("context checkpoints per slot", ge=0)
    ctx_checkpoints_interval: int | None = _option("tokens between context checkpoints", ge=-1, extra=IK_ONLY)
    ctx_checkpoints_tolerance: int | None = _option("tokens of slack when reusing a checkpoint", ge=-1, extra=IK_ONLY)
    slot_prompt_similarity: float | None = _option("how alike a prompt must be to reuse a slot", ge=0, le=1)
    # where the weights go
    n_gpu_layers: int | None = _option("layers on the GPUs, counted from the last (-1: engine's default)", ge=-1)
    split_mode: Literal["none", "layer", "graph", "attn", "row"] | None = _option("how GPUs share the model")
    tensor_split: list[Annotated[float, Field(ge=0)]] | None = _option("share of each GPU, any unit", min_length=1)
    main_gpu: int | None = _option("the GPU of split mode none", ge=0)
    max_gpu: int | None = _option("most GPUs per layer in split mode graph", ge=0, extra=IK_ONLY)
    cpu_moe: bool | None = _option("all routed experts to the CPU (tensor overrides come first)")
    n_cpu_moe: int | None = _option("routed experts of this many layers to the CPU", ge=0)
    fit: bool | None = _option("let the engine fit the model to free memory", extra=IK_ONLY)
    fit_margin: int | None = _option("memory that `fit` leaves free, MiB", ge=0, extra=IK_ONLY)
    worst_graph_tokens: int | None = _option("tokens whose logits the compute buffer is sized for", ge=0, extra=IK_ONLY)
    offload_policy: Text | None = _option("which operations on CPU weights run on the GPU", extra=IK_ONLY)
    no_offload_only_active_experts: bool | None = _option("copy all experts of a layer, not the active", extra=IK_ONLY)
    no_kv_offload: bool | None = _option("keep the KV cache in host memory")
    defer_experts: bool | None = _option("load experts when first used", extra=IK_ONLY)
    split_mode_graph_scheduling: bool | None = _option("graph scheduling in spite of overrides", extra=IK_ONLY)
    split_mode_f16: bool | None = _option("GPUs exchange f16", extra=IK_ONLY)
    split_mode_f32: bool | None = _option("GPUs exchange f32", extra=IK_ONLY)
    graph_reduce_type: Text | None = _option("type in which GPUs sum their parts", extra=IK_ONLY)
    scheduler_async: bool | None = _option("asynchronous graph scheduling", extra=IK_ONLY)
    # attention and kernels
    flash_attn: OnOffAuto | None = _option("flash attention")
    no_flash_attn: bool | None = _option("no flash attention", extra=IK_ONLY)
    mla_use: Annotated[int, Field(ge=0, le=3)] | None = _option("MLA variant (0 to 3)", extra=IK_ONLY)
    attention_max_batch: int | None = _option("cap of the attention's K*Q buffer, MiB (0: none)", ge=0, extra=IK_ONLY)
    cache_type_k: CacheType | None = _option("type of the K cache")
    cache_type_v: CacheType | None = _option("type of the V cache")
    k_cache_hadamard: bool | None = _option("Hadamard transform of the K cache", extra=IK_ONLY)
    v_cache_hadamard: bool | None = _option("Hadamard transform of the V cache", extra=IK_ONLY)
    merge_qkv: bool | None = _option("merge the Q, K and V projections", extra=IK_ONLY)
    merge_up_gate_experts: bool | None = _option("merge up and gate projections of experts", extra=IK_ONLY)
    grouped_expert_routing: bool | None = _option("grouped expert routing", extra=IK_ONLY)
    no_fused_moe: bool | None = _option("experts without the fused kernel", extra=IK_ONLY)
    no_fused_up_gate: bool | None = _option("up and gate without the fused kernel", extra=IK_ONLY)
    no_fused_mul_multiadd: bool | None = _option("expert sums without the fused kernel", extra=IK_ONLY)
    graph_reuse: bool | None = _option("reuse compute graphs", extra=IK_ONLY)
    no_graph_reuse: bool | None = _option("build every compute graph anew", extra=IK_ONLY)
    rope_cache: bool | None = _option("cache the RoPE factors", extra=IK_ONLY)
    smart_expert_reduction: Text | None = _option("use fewer experts: `n,threshold`", extra=IK_ONLY)
    cuda_params: Text | None = _option("CUDA backend settings, e.g. `graphs=1`", extra=IK_ONLY)
    # loading
    no_mmap: bool | None = _option("read the file into memory instead of mapping it")
    mlock: bool | None = _option("lock the model in RAM")
    run_time_repack: bool | None = _option("repack tensors for the CPU at load (turns mmap off)", extra=IK_ONLY)
    transparent_huge_pages: bool | None = _option("ask for huge pages", extra=IK_ONLY)
    validate_quants: bool | None = _option("check quantised data at load", extra=IK_ONLY)
    check_tensors: bool | None = _option("check tensor data at load")
    mtp_requantize_output_tensor: Text | None = _option("type of the MTP head's output tensor", extra=IK_ONLY)
    override_kv: Text | None = _option("override model metadata: `key=type:value`")
    no_warmup: bool | None = _option("no empty run at start")
    warmup_batch: bool | None = _option("warm up with a whole batch", extra=IK_ONLY)
    # positions
    rope_scaling: Literal["none", "linear", "yarn"] | None = _option("RoPE scaling")
    rope_scale: float | None = _option("context scaling factor", gt=0)
    rope_freq_base: float | None = _option("RoPE base frequency", gt=0)
    rope_freq_scale: float | None = _option("RoPE frequency scale", gt=0)
    yarn_orig_ctx: int | None = _option("YaRN: trained context", ge=0)
    yarn_ext_factor: float | None = _option("YaRN: extrapolation mix")
    yarn_attn_factor: float | None = _option("YaRN: attention factor")
    yarn_beta_fast: float | None = _option("YaRN: low correction dim")
    yarn_beta_slow: float | None = _option("YaRN: high correction dim")
    # the API
    alias: Text | None = _option("the model's name in the API; the profile's name by default")
    jinja: bool | None = _option("use the model's Jinja chat template")
    chat_template: Text | None = _option("chat template: a built-in name or Jinja text")
    chat_template_file: Text | None = _option("chat template: a file on the box")
    chat_template_kwargs: dict[str, JsonValue] | None = _option("variables for the chat template")
    reasoning: OnOffAuto | None = _option("let the model think")
    reasoning_format: Literal["none", "auto", "deepseek", "deepseek-legacy"] | None = _option("where thoughts go")
    reasoning_budget: int | None = _option("thinking tokens (-1: no limit, 0: none)", ge=-1)
    reasoning_tokens: Text | None = _option("tokens that mark thinking", extra=IK_ONLY)
    parallel_tool_calls: bool | None = _option("allow several tool calls in one answer", extra=IK_ONLY)
    timeout: Count | None = _option("seconds that a request may take to read or write")
    metrics: bool | None = _option("serve /metrics")
    no_slots: bool | None = _option("do not serve /slots")
    slot_save_path: Text | None = _option("folder on the box where slots are saved")
    webui: Text | None = _option("which web page to serve", extra=IK_ONLY)
    log_format: Literal["text", "json"] | None = _option("format of the log", extra=IK_ONLY)
    verbose: bool | None = _option("log everything")
    verbosity: int | None = _option("log level", ge=0)


class Sampling(Options):
    """The server's default sampling; a request may override each."""

    seed: Annotated[int, Field(ge=-1, le=(1 << 32) - 1)] | None = _option("seed (-1: random)")
    samplers: Text | None = _option("samplers in order, separated by `;`")
    temp: float | None = _option("temperature", ge=0)
    top_k: int | None = _option("keep the k likeliest tokens (0: all)", ge=0)
    top_p: float | None = _option("nucleus sampling", ge=0, le=1)
    min_p: float | None = _option("least probability relative to the likeliest", ge=0, le=1)
    top_n_sigma: float | None = _option("keep logits within n sigma of the highest")
    typical: float | None = _option("locally typical sampling", ge=0, le=1)
    repeat_last_n: int | None = _option("tokens looked back at for repetition (-1: context)", ge=-1)
    repeat_penalty: float | None = _option("repetition penalty (1: none)", ge=0)
    presence_penalty: float | None = _option("presence penalty (0: none)")
    frequency_penalty: float | None = _option("frequency penalty (0: none)")
    dynatemp_range: float | None = _option("dynamic temperature range", ge=0)
    dynatemp_exp: float | None = _option("dynamic temperature exponent")
    mirostat: Annotated[int, Field(ge=0, le=2)] | None = _option("Mirostat version (0: off)")
    mirostat_lr: float | None = _option("Mirostat learning rate")
    mirostat_ent: float | None = _option("Mirostat target entropy")
    xtc_probability: float | None = _option("XTC probability", ge=0, le=1)
    xtc_threshold: float | None = _option("XTC threshold", ge=0, le=1)
    dry_multiplier: float | None = _option("DRY multiplier (0: off)", ge=0)
    dry_base: float | None = _option("DRY base")
    dry_allowed_length: int | None = _option("DRY: longest repetition without penalty", ge=0)
    dry_penalty_last_n: int | None = _option("DRY: tokens looked back at (-1: context)", ge=-1)
    adaptive_target: float | None = _option("adaptive-p target", extra=IK_ONLY)
    adaptive_decay: float | None = _option("adaptive-p decay", extra=IK_ONLY)
