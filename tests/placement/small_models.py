"""Small models of several architectures, whole headers over a hole, that a server loads and the planner places alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gguf_writer import write_gguf

from gpubox.tiny_model import CHAT_TEMPLATE, byte_vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gguf_writer import Metadata, TensorInfo

    # Name behind `blk.N.`, type and ne.
    Part = tuple[str, str, tuple[int, ...]]

VOCABULARY = 4096
CONTEXT = 32_768
KV_RANK, ROPE, NOPE, VALUE = 512, 64, 128, 128  # DeepSeek's; the engine takes no others


def write_small_model(path: Path, name: str, more_layers: int = 0) -> Path:
    """Write one of MODELS; its weights are a hole, that is zeros.

    Args:
        path: of the file.
        name: of the model.
        more_layers: how often its last layer but a NextN layer is repeated.
    """
    metadata, tensors = MODELS[name]()
    return write_gguf(path, *_deeper(metadata, tensors, more_layers))


def _llama() -> tuple[list[Metadata], list[TensorInfo]]:
    """Dense, grouped heads, rotation factors as Llama 3 has them."""
    layer = [*_grouped(1024, (16, 4, 64), "q8_0"), *_dense(1024, 2816, "q8_0")]
    metadata = _metadata("llama", 3, 1024, 2816, {"attention.head_count": 16, "attention.head_count_kv": 4}, rope=64)
    return metadata, [*_outside(1024, "q8_0"), ("rope_freqs.weight", "f32", (32,)), *_inside([layer] * 3)]


def _llama_tied() -> tuple[list[Metadata], list[TensorInfo]]:
    """Dense, a head of K and V for each of Q, no matrix for the output, not quantised."""
    layer = [*_grouped(512, (8, 8, 64), "f16"), *_dense(512, 1408, "f16")]
    metadata = _metadata("llama", 4, 512, 1408, {"attention.head_count": 8}, rope=64)
    return metadata, [*_outside(512, "f16", output=False), *_inside([layer] * 4)]


def _llama_experts() -> tuple[list[Metadata], list[TensorInfo]]:
    """Experts in a llama, as Mixtral has them; up and gate of two types."""
    layer = [
        *_grouped(1024, (16, 8, 64), "q8_0"),
        ("ffn_norm.weight", "f32", (1024,)),
        ("ffn_gate_inp.weight", "f32", (1024, 8)),
        ("ffn_gate_exps.weight", "q4_0", (1024, 896, 8)),
        ("ffn_down_exps.weight", "q5_0", (896, 1024, 8)),
        ("ffn_up_exps.weight", "q5_0", (1024, 896, 8)),
    ]
    own = {"attention.head_count": 16, "attention.head_count_kv": 8, "expert_count": 8, "expert_used_count": 2}
    return _metadata("llama", 3, 1024, 896, own, rope=64), [*_outside(1024, "q6_0"), *_inside([layer] * 3)]


def _qwen2() -> tuple[list[Metadata], list[TensorInfo]]:
    """Dense, with biases."""
    layer = [*_grouped(896, (14, 2, 64), "q8_0", biased=True), *_dense(896, 2432, "q8_0")]
    own = {"attention.head_count": 14, "attention.head_count_kv": 2}
    return _metadata("qwen2", 3, 896, 2432, own), [*_outside(896, "q8_0"), *_inside([layer] * 3)]


def _qwen3() -> tuple[list[Metadata], list[TensorInfo]]:
    """Dense, heads wider together than the hidden state, normed Q and K."""
    layer = [*_grouped(1024, (16, 8, 128), "q8_0", normed=True), *_dense(1024, 3072, "q8_0")]
    own = {
        "attention.head_count": 16,
        "attention.head_count_kv": 8,
        "attention.key_length": 128,
        "attention.value_length": 128,
    }
    return _metadata("qwen3", 3, 1024, 3072, own), [*_outside(1024, "q8_0"), *_inside([layer] * 3)]


def _qwen3moe() -> tuple[list[Metadata], list[TensorInfo]]:
    """Experts in every layer, heads wider together than the hidden state, normed Q and K."""
    layer = [*_grouped(1024, (16, 2, 128), "q8_0", normed=True), *_experts(1024, 384, 64, "q4_0", router="f32")]
    own = {
        "attention.head_count": 16,
        "attention.head_count_kv": 2,
        "attention.key_length": 128,
        "attention.value_length": 128,
        "expert_count": 64,
        "expert_used_count": 8,
        "expert_feed_forward_length": 384,
    }
    return _metadata("qwen3moe", 4, 1024, 384, own), [*_outside(1024, "q8_0"), *_inside([layer] * 4)]


def _glm4moe(*, normed: bool = False) -> tuple[list[Metadata], list[TensorInfo]]:
    """A dense layer, layers of experts with a shared one, biases, half of each head rotated, a NextN layer."""
    attention = _grouped(1024, (24, 2, 128), "q6_0", normed=normed, biased=True, after="post_attention_norm")
    moe = [
        *attention,
        *_experts(1024, 352, 32, "iq4_ks", router="f32", norm=False),
        ("exp_probs_b.bias", "f32", (32,)),
        *_shared(1024, 352, "q8_0"),
    ]
    draft: list[Part] = [
        *moe,
        ("nextn.eh_proj.weight", "q8_0", (2048, 1024)),
        ("nextn.embed_tokens.weight", "q8_0", (1024, VOCABULARY)),
        ("nextn.enorm.weight", "f32", (1024,)),
        ("nextn.hnorm.weight", "f32", (1024,)),
        ("nextn.shared_head_head.weight", "q8_0", (1024, VOCABULARY)),
        ("nextn.shared_head_norm.weight", "f32", (1024,)),
    ]
    dense = [*attention, *_dense(1024, 2688, "q6_0", norm=False)]
    own = {
        "attention.head_count": 24,
        "attention.head_count_kv": 2,
        "attention.key_length": 128,
        "attention.value_length": 128,
        "expert_count": 32,
        "expert_used_count": 4,
        "expert_shared_count": 1,
        "expert_feed_forward_length": 352,
        "leading_dense_block_count": 1,
        "expert_gating_func": 2,
        "nextn_predict_layers": 1,
    }
    metadata = _metadata("glm4moe", 5, 1024, 2688, own, rope=64)
    metadata.append(("glm4moe.expert_weights_scale", "f32", 1.0))
    return metadata, [*_outside(1024, "q8_0"), *_inside([dense, *[moe] * 3, draft])]


def _glm4moe_normed() -> tuple[list[Metadata], list[TensorInfo]]:
    """As `_glm4moe`, with normed Q and K."""
    return _glm4moe(normed=True)


def _deepseek2(*, own_kv_b: bool = False, compressed: bool = True) -> tuple[list[Metadata], list[TensorInfo]]:
    """Latent attention and experts, as llama.cpp writes it, or with the engine's own `attn_kv_b`.

    Without a compressed Q the engine wants the 27 layers of DeepSeek-V2-Lite.
    """
    heads, width, experts = 16, 1024, 32
    q: list[Part] = [("attn_q.weight", "q8_0", (width, heads * (NOPE + ROPE)))]
    if compressed:
        q = [
            ("attn_q_a_norm.weight", "f32", (768,)),
            ("attn_q_a.weight", "q8_0", (width, 768)),
            ("attn_q_b.weight", "q8_0", (768, heads * (NOPE + ROPE))),
        ]
    attention: list[Part] = [
        ("attn_norm.weight", "f32", (width,)),
        *q,
        ("attn_kv_a_norm.weight", "f32", (KV_RANK,)),
        ("attn_kv_a_mqa.weight", "q8_0", (width, KV_RANK + ROPE)),
        *_latent(heads, own_kv_b=own_kv_b),
        ("attn_output.weight", "q8_0", (heads * VALUE, width)),
    ]
    dense = [*attention, *_dense(width, 2816, "q8_0")]
    moe = [*attention, *_experts(width, 352, experts, "q4_0", router="f32"), *_shared(width, 704, "q8_0")]
    own = {
        "attention.head_count": heads,
        "attention.head_count_kv": heads if own_kv_b else 1,
        "attention.key_length": NOPE + ROPE if own_kv_b else KV_RANK + ROPE,
        "attention.value_length": VALUE if own_kv_b else KV_RANK,
        "attention.key_length_mla": NOPE + ROPE,
        "attention.value_length_mla": VALUE,
        "attention.kv_lora_rank": KV_RANK,
        "expert_count": experts,
        "expert_used_count": 6,
        "expert_shared_count": 2,
        "expert_feed_forward_length": 352,
        "leading_dense_block_count": 1,
        **({"attention.q_lora_rank": 768} if compressed else {}),
    }
    layers = [dense, *[moe] * (3 if compressed else 26)]
    metadata = _metadata("deepseek2", len(layers), width, 2816, own, rope=ROPE)
    metadata.append(("deepseek2.expert_weights_scale", "f32", 1.0))
    return metadata, [*_outside(width, "q8_0"), *_inside(layers)]


def _deepseek2_kv_b() -> tuple[list[Metadata], list[TensorInfo]]:
    """As `_deepseek2`, with `attn_kv_b` in the file."""
    return _deepseek2(own_kv_b=True)


def _deepseek2_lite() -> tuple[list[Metadata], list[TensorInfo]]:
    """As `_deepseek2`, Q not compressed."""
    return _deepseek2(compressed=False)


def _glm_dsa() -> tuple[list[Metadata], list[TensorInfo]]:
    """As `_deepseek2`, with an indexer and a NextN layer, and a head and embedding of the main model for both."""
    metadata, tensors = _deepseek2()
    own: list[Metadata] = [
        ("glm-dsa.expert_weights_norm", "bool", True),
        ("glm-dsa.expert_gating_func", "u32", 2),
        ("glm-dsa.nextn_predict_layers", "u32", 1),
        ("glm-dsa.attention.indexer.head_count", "u32", 4),
        ("glm-dsa.attention.indexer.key_length", "u32", 128),
        ("glm-dsa.attention.indexer.top_k", "u32", 2048),
        ("glm-dsa.expert_group_count", "u32", 1),
        ("glm-dsa.expert_group_used_count", "u32", 1),
    ]
    changed = {
        "general.architecture": "glm-dsa",
        "deepseek2.expert_weights_scale": 2.5,
    }
    renamed: list[Metadata] = [
        (key.replace("deepseek2.", "glm-dsa."), kind, changed.get(key, value)) for key, kind, value in metadata
    ]
    indexer: list[Part] = [
        ("indexer.k_norm.weight", "f32", (128,)),
        ("indexer.k_norm.bias", "f32", (128,)),
        ("indexer.proj.weight", "q8_0", (1024, 4)),
        ("indexer.attn_k.weight", "q8_0", (1024, 128)),
        ("indexer.attn_q_b.weight", "q8_0", (768, 4 * 128)),
    ]
    draft: list[Part] = [
        ("nextn.eh_proj.weight", "q8_0", (2048, 1024)),
        ("nextn.enorm.weight", "f32", (1024,)),
        ("nextn.hnorm.weight", "f32", (1024,)),
        ("nextn.shared_head_norm.weight", "f32", (1024,)),
    ]
    bias: Part = ("exp_probs_b.bias", "f32", (32,))
    tensors += _inside([indexer, [bias], [bias], [*indexer, bias, *draft]])
    return [*renamed, *own], tensors


MODELS: dict[str, Callable[[], tuple[list[Metadata], list[TensorInfo]]]] = {
    "llama": _llama,
    "llama-tied": _llama_tied,
    "llama-experts": _llama_experts,
    "qwen2": _qwen2,
    "qwen3": _qwen3,
    "qwen3moe": _qwen3moe,
    "glm4moe": _glm4moe,
    "glm4moe-normed": _glm4moe_normed,
    "deepseek2": _deepseek2,
    "deepseek2-kv_b": _deepseek2_kv_b,
    "deepseek2-lite": _deepseek2_lite,
    "glm-dsa": _glm_dsa,
}


def _metadata(
    architecture: str, layers: int, width: int, dense: int, own: dict[str, int], *, rope: int | None = None
) -> list[Metadata]:
    own = {
        "block_count": layers,
        "context_length": CONTEXT,
        "embedding_length": width,
        "feed_forward_length": dense,
        "vocab_size": VOCABULARY,
        **own,
    }
    if rope is not None:
        own["rope.dimension_count"] = rope
    texts = byte_vocabulary()
    tokens = [*texts, *(f"<t{index}>" for index in range(len(texts), VOCABULARY))]
    return [
        ("general.architecture", "string", architecture),
        *((f"{architecture}.{key}", "u32", value) for key, value in own.items()),
        (f"{architecture}.attention.layer_norm_rms_epsilon", "f32", 1e-5),
        ("tokenizer.ggml.model", "string", "gpt2"),
        ("tokenizer.ggml.pre", "string", "gpt-2"),
        ("tokenizer.ggml.tokens", "[string]", tokens),
        ("tokenizer.ggml.token_type", "[i32]", [1] * VOCABULARY),
        ("tokenizer.ggml.merges", "[string]", ["t h"]),
        ("tokenizer.ggml.eos_token_id", "u32", 256),
        ("tokenizer.ggml.bos_token_id", "u32", 256),
        ("tokenizer.chat_template", "string", CHAT_TEMPLATE),
    ]


def _deeper(metadata: list[Metadata], tensors: list[TensorInfo], more: int) -> tuple[list[Metadata], list[TensorInfo]]:
    numbers = {key.partition(".")[2]: value for key, _, value in metadata}
    last = int(numbers["block_count"]) - int(numbers.get("nextn_predict_layers", 0)) - 1
    found: list[TensorInfo] = []
    for name, kind, ne in tensors:
        _, number, part = name.split(".", 2) if name.startswith("blk.") else ("", "-1", "")
        layer = int(number)
        places = range(last, last + more + 1) if layer == last else [layer + more if layer > last else layer]
        found += [(f"blk.{place}.{part}" if part else name, kind, ne) for place in places]
    told = [(key, kind, value + more if key.endswith(".block_count") else value) for key, kind, value in metadata]
    return told, found


def _outside(width: int, kind: str, *, output: bool = True) -> list[TensorInfo]:
    matrix = (width, VOCABULARY)
    found: list[TensorInfo] = [("token_embd.weight", kind, matrix), ("output_norm.weight", "f32", (width,))]
    return [*found, ("output.weight", kind, matrix)] if output else found


def _inside(layers: list[list[Part]]) -> list[TensorInfo]:
    return [(f"blk.{layer}.{name}", kind, ne) for layer, parts in enumerate(layers) for name, kind, ne in parts]


def _grouped(
    width: int, heads: tuple[int, int, int], kind: str, *, normed: bool = False, biased: bool = False, after: str = ""
) -> list[Part]:
    """Grouped-query attention; `heads` are those of Q, those of K and V, and their width."""
    n_head, n_head_kv, size = heads
    widths = {"q": n_head * size, "k": n_head_kv * size, "v": n_head_kv * size}
    parts: list[Part] = [("attn_norm.weight", "f32", (width,))]
    parts += [(f"attn_{name}.weight", kind, (width, wide)) for name, wide in widths.items()]
    parts += [(f"attn_{name}.bias", "f32", (wide,)) for name, wide in widths.items() if biased]
    parts += [(f"attn_{name}_norm.weight", "f32", (size,)) for name in "qk" if normed]
    parts.append(("attn_output.weight", kind, (n_head * size, width)))
    return [*parts, (f"{after}.weight", "f32", (width,))] if after else parts


def _latent(heads: int, *, own_kv_b: bool) -> list[Part]:
    if own_kv_b:
        return [("attn_kv_b.weight", "q8_0", (KV_RANK, heads * (NOPE + VALUE)))]
    return [("attn_k_b.weight", "q8_0", (NOPE, KV_RANK, heads)), ("attn_v_b.weight", "q8_0", (KV_RANK, VALUE, heads))]


def _dense(width: int, inner: int, kind: str, *, norm: bool = True) -> list[Part]:
    parts: list[Part] = [("ffn_norm.weight", "f32", (width,))] if norm else []
    return [
        *parts,
        ("ffn_gate.weight", kind, (width, inner)),
        ("ffn_down.weight", kind, (inner, width)),
        ("ffn_up.weight", kind, (width, inner)),
    ]


def _experts(width: int, inner: int, count: int, kind: str, *, router: str, norm: bool = True) -> list[Part]:
    parts: list[Part] = [("ffn_norm.weight", "f32", (width,))] if norm else []
    down = kind if inner % 256 == 0 else "q8_0"
    return [
        *parts,
        ("ffn_gate_inp.weight", router, (width, count)),
        ("ffn_gate_exps.weight", kind, (width, inner, count)),
        ("ffn_down_exps.weight", down, (inner, width, count)),
        ("ffn_up_exps.weight", kind, (width, inner, count)),
    ]


def _shared(width: int, inner: int, kind: str) -> list[Part]:
    return [
        ("ffn_gate_shexp.weight", kind, (width, inner)),
        ("ffn_down_shexp.weight", kind, (inner, width)),
        ("ffn_up_shexp.weight", kind, (width, inner)),
    ]
