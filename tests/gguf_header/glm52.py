"""The tensors and metadata of GLM-5.2 as published in GGUF (architecture `glm-dsa`, 753 B parameters), at full size.

78 layers of which the first 3 are dense, one NextN (MTP) layer, 256 routed experts in every other layer, and the
indexer's tensors in the 22 layers that carry them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gguf_writer import write_gguf

if TYPE_CHECKING:
    from pathlib import Path

    from gguf_writer import Metadata, TensorInfo

EMBEDDING = 6144
VOCABULARY = 154_880
LAYERS = 79
DENSE_LAYERS = 3
EXPERTS = 256
EXPERT_FF = 2048
DENSE_FF = 12_288
HEADS = 64
Q_RANK = 2048
KV_RANK = 512
ROPE = 64
NOPE = 192
VALUE = 256
INDEXER_LAYERS = frozenset({0, 1, 2, *range(6, 78, 4), 78})

# The two published quantizations: type of the routed experts; the rest is q6_0.
QUANTIZATIONS = {"1.630": "iq1_s_r4", "2.244": "iq2_kt"}


def tensors(experts: str, rest: str = "q6_0") -> list[TensorInfo]:
    """Return the 1524 tensors: name, type, ne."""
    found: list[TensorInfo] = [
        ("token_embd.weight", rest, (EMBEDDING, VOCABULARY)),
        ("output_norm.weight", "f32", (EMBEDDING,)),
        ("output.weight", rest, (EMBEDDING, VOCABULARY)),
    ]
    for layer in range(LAYERS):
        own = _attention(rest)
        own += _indexer(rest) if layer in INDEXER_LAYERS else []
        own += _dense(rest) if layer < DENSE_LAYERS else _mixture(experts, rest)
        own += _next_token(rest) if layer == LAYERS - 1 else []
        found += [(f"blk.{layer}.{name}", kind, ne) for name, kind, ne in own]
    return found


def metadata(tokens: int = VOCABULARY) -> list[Metadata]:
    """Return the metadata, with a vocabulary of the given size."""
    integers = {
        "block_count": LAYERS,
        "context_length": 1_048_576,
        "embedding_length": EMBEDDING,
        "feed_forward_length": DENSE_FF,
        "attention.head_count": HEADS,
        "attention.head_count_kv": 1,
        "expert_used_count": 8,
        "expert_group_count": 1,
        "expert_group_used_count": 1,
        "expert_gating_func": 2,
        "attention.key_length": KV_RANK + ROPE,
        "attention.value_length": KV_RANK,
        "leading_dense_block_count": DENSE_LAYERS,
        "vocab_size": VOCABULARY,
        "attention.q_lora_rank": Q_RANK,
        "attention.kv_lora_rank": KV_RANK,
        "attention.key_length_mla": NOPE + ROPE,
        "attention.value_length_mla": VALUE,
        "expert_feed_forward_length": EXPERT_FF,
        "expert_count": EXPERTS,
        "expert_shared_count": 1,
        "rope.dimension_count": ROPE,
        "nextn_predict_layers": 1,
        "attention.indexer.head_count": 32,
        "attention.indexer.key_length": 128,
        "attention.indexer.top_k": 2048,
    }
    return [
        ("general.architecture", "string", "glm-dsa"),
        ("general.name", "string", "GLM-5.2"),
        ("general.alignment", "u32", 32),
        *((f"glm-dsa.{key}", "u32", value) for key, value in integers.items()),
        ("glm-dsa.rope.freq_base", "f32", 8e6),
        ("glm-dsa.expert_weights_scale", "f32", 2.5),
        ("glm-dsa.expert_weights_norm", "bool", True),
        ("tokenizer.ggml.model", "string", "gpt2"),
        ("tokenizer.ggml.pre", "string", "glm4"),
        ("tokenizer.ggml.tokens", "[string]", [f"<t{index}>" for index in range(tokens)]),
        ("tokenizer.ggml.token_type", "[i32]", [1] * tokens),
        ("tokenizer.ggml.merges", "[string]", ["t h"]),
        ("tokenizer.chat_template", "string", "{% for m in messages %}{{ m.content }}{% endfor %}"),
    ]


def write_glm52(path: Path, quantization: str, tokens: int = VOCABULARY) -> Path:
    """Write the sparse file of one of QUANTIZATIONS; its data is a hole."""
    return write_gguf(path, metadata(tokens), tensors(QUANTIZATIONS[quantization]))


def _attention(rest: str) -> list[TensorInfo]:
    return [
        ("attn_norm.weight", "f32", (EMBEDDING,)),
        ("attn_q_a_norm.weight", "f32", (Q_RANK,)),
        ("attn_kv_a_norm.weight", "f32", (KV_RANK,)),
        ("attn_q_a.weight", rest, (EMBEDDING, Q_RANK)),
        ("attn_q_b.weight", rest, (Q_RANK, HEADS * (NOPE + ROPE))),
        ("attn_kv_a_mqa.weight", rest, (EMBEDDING, KV_RANK + ROPE)),
        ("attn_k_b.weight", rest, (NOPE, KV_RANK, HEADS)),
        ("attn_v_b.weight", rest, (KV_RANK, VALUE, HEADS)),
        ("attn_output.weight", rest, (HEADS * VALUE, EMBEDDING)),
        ("ffn_norm.weight", "f32", (EMBEDDING,)),
    ]


def _indexer(rest: str) -> list[TensorInfo]:
    return [
        ("indexer.k_norm.weight", "f32", (128,)),
        ("indexer.k_norm.bias", "f32", (128,)),
        ("indexer.proj.weight", rest, (EMBEDDING, 32)),
        ("indexer.attn_k.weight", rest, (EMBEDDING, 128)),
        ("indexer.attn_q_b.weight", rest, (Q_RANK, 32 * 128)),
    ]


def _dense(rest: str) -> list[TensorInfo]:
    return [
        ("ffn_gate.weight", rest, (EMBEDDING, DENSE_FF)),
        ("ffn_down.weight", rest, (DENSE_FF, EMBEDDING)),
        ("ffn_up.weight", rest, (EMBEDDING, DENSE_FF)),
    ]


def _mixture(experts: str, rest: str) -> list[TensorInfo]:
    return [
        ("ffn_gate_inp.weight", "q8_0", (EMBEDDING, EXPERTS)),
        ("exp_probs_b.bias", "f32", (EXPERTS,)),
        ("ffn_gate_exps.weight", experts, (EMBEDDING, EXPERT_FF, EXPERTS)),
        ("ffn_down_exps.weight", experts, (EXPERT_FF, EMBEDDING, EXPERTS)),
        ("ffn_up_exps.weight", experts, (EMBEDDING, EXPERT_FF, EXPERTS)),
        ("ffn_gate_shexp.weight", rest, (EMBEDDING, EXPERT_FF)),
        ("ffn_down_shexp.weight", rest, (EXPERT_FF, EMBEDDING)),
        ("ffn_up_shexp.weight", rest, (EMBEDDING, EXPERT_FF)),
    ]


def _next_token(rest: str) -> list[TensorInfo]:
    return [
        ("nextn.eh_proj.weight", rest, (2 * EMBEDDING, EMBEDDING)),
        ("nextn.enorm.weight", "f32", (EMBEDDING,)),
        ("nextn.hnorm.weight", "f32", (EMBEDDING,)),
        ("nextn.shared_head_norm.weight", "f32", (EMBEDDING,)),
    ]
