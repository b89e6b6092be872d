"""A model as far as memory is concerned: its tensors by layer, and the sizes behind KV cache and compute buffers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpubox.errors import ModelFileError
from gpubox.placement.header_numbers import MAX_CONTEXT, MAX_LAYERS, by_layer, number, scales_experts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpubox.gguf import GgufHeader, Tensor

# Multi-head latent attention: one compressed K and V per token (llama.cpp:2110, model.cache_size).
MLA_ARCHITECTURES = frozenset({"deepseek2", "glm-dsa", "mistral4"})
# Layers of these architectures are followed by the generic rule with their own peculiarities.
KNOWN_ARCHITECTURES = frozenset({"glm-dsa", "deepseek2", "glm4moe", "qwen3moe", "qwen3", "qwen2", "llama"})
# Recurrent or hybrid layers keep a state instead of a KV cache.
RECURRENT_ARCHITECTURES = frozenset({"mamba", "qwen3next", "qwen35", "qwen35moe"})
# Architectures that split mode graph knows (llama.cpp:3086, is_model_split_supported).
GRAPH_ARCHITECTURES = frozenset(
    {
        "llama", "qwen3moe", "glm4moe", "mistral3", "command-r", "cohere2", "cohere2_moe", "mimo2", "qwen3", "qwen3vl",
        "hunyuan-moe", "gpt-oss", "ernie4_5-moe", "minimax-m2", "minimax-m3", "seed_oss", "step35", "laguna", "qwen35",
        "qwen35moe", "gemma4", "deepseek2", "glm-dsa", "mistral4", "mellum",
    }
)  # fmt: skip  # the engine's list
# Architectures whose experts `-muge` merges (they load them by create_std_ffn_exps, load-tensors.cpp:3815).
MERGES_UP_GATE = frozenset(
    {
        "llama4", "dbrx", "step35", "laguna", "qwen2moe", "qwen3moe", "qwen3vlmoe", "mellum", "qwen3next", "qwen35moe",
        "mimo2", "deepseek2", "mistral4", "cohere2_moe", "dots1", "bailingmoe2", "hunyuan-moe", "minimax-m2", "gpt-oss",
        "minimax-m3", "glm4moe",
    }
)  # fmt: skip  # the engine's list
# Architectures that obey `-ger` (build-context.cpp:1104).
GROUPS_EXPERTS = frozenset({"bailingmoe2"})
# Architectures whose experts' weights are normed and scaled as the header says; others are normed and not scaled.
WEIGHS_EXPERTS_BY_HEADER = frozenset(
    {"bailingmoe2", "deepseek2", "dots1", "glm-dsa", "glm4moe", "laguna", "minimax-m3", "mistral4", "step35"}
)
# Architectures with a wired MTP layer (llama.cpp:7091).
MTP_ARCHITECTURES = frozenset({"glm4moe", "glm-dsa", "qwen35", "qwen35moe", "gemma4"})

_BLOCK = re.compile(r"blk\.(\d+)\.")
_EXPERTS = re.compile(r"\.ffn_(up|gate|down|gate_up)_exps\.(weight|bias|scale)$")


@dataclass(frozen=True, eq=False)  # one header's model is itself alone
class Model:
    """What a header says about memory.

    Attributes:
        header: where all this stands.
        architecture: e.g. `glm-dsa`.
        n_layer: layers, the draft layers at the end included.
        n_draft: NextN (MTP) layers among them.
        n_embd: width of the hidden state.
        n_vocab: tokens of the vocabulary.
        n_ctx_train: trained context, tokens; 0 where the header does not say.
        n_head: attention heads of each layer.
        n_head_kv: K and V heads of each layer.
        head_k: width of a K head, as computed.
        head_v: width of a V head, as computed.
        n_rot: width of the rotated part of a head.
        q_rank: rank of MLA's compressed Q; 0 where Q is not compressed.
        kv_rank: rank of MLA's compressed K and V; 0 without MLA.
        n_expert: routed experts of a layer.
        n_expert_used: experts that a token goes through.
        norms_experts: whether the weights of a token's experts are made to add up to 1.
        scales_experts: whether they are then scaled.
        tensors: by name.
        layers: the names of each layer's tensors, in file order.
    """

    header: GgufHeader
    architecture: str
    n_layer: int
    n_draft: int
    n_embd: int
    n_vocab: int
    n_ctx_train: int
    n_head: tuple[int, ...]
    n_head_kv: tuple[int, ...]
    head_k: int
    head_v: int
    n_rot: int
    q_rank: int
    kv_rank: int
    n_expert: int
    n_expert_used: int
    norms_experts: bool
    scales_experts: bool
    tensors: Mapping[str, Tensor]
    layers: tuple[tuple[str, ...], ...]

    @property
    def mla(self) -> bool:
        """Whether attention is latent (MLA)."""
        return self.architecture in MLA_ARCHITECTURES

    @property
    def known(self) -> bool:
        """Whether the architecture is followed by its own rules and not by the plain one."""
        return self.architecture in KNOWN_ARCHITECTURES

    def tensor(self, layer: int, name: str) -> Tensor | None:
        """Return a layer's tensor by its short name (`attn_k_b.weight`), or None."""
        return self.tensors.get(f"blk.{layer}.{name}")

    def is_draft(self, layer: int) -> bool:
        """Return whether a layer belongs to the draft (MTP)."""
        return layer >= self.n_layer - self.n_draft

    def expert_bytes(self, layer: int) -> int:
        """Return the bytes of a layer's routed experts in the file."""
        return sum(self.tensors[name].nbytes for name in self.layers[layer] if is_expert(name))


def is_expert(name: str) -> bool:
    """Return whether a tensor holds routed experts."""
    return _EXPERTS.search(name) is not None


def layer_of(name: str) -> int | None:
    """Return the layer of a tensor, or None for those outside the layers."""
    match = _BLOCK.match(name)
    return int(match[1]) if match else None


def read_model(header: GgufHeader) -> Model:
    """Return what a header says about memory.

    Raises:
        ModelFileError: a number or a tensor that the engine needs is missing, or can't be.
    """
    n_layer = number(header, "block_count", most=MAX_LAYERS, least=1)
    n_embd = number(header, "embedding_length", least=1)
    heads = by_layer(header, "attention.head_count", n_layer, 1)
    heads_kv = by_layer(header, "attention.head_count_kv", n_layer, heads[0])
    by_header = header.architecture in WEIGHS_EXPERTS_BY_HEADER
    mla = header.architecture in MLA_ARCHITECTURES
    head_k = number(header, "attention.key_length", n_embd // max(*heads, 1))
    head_v = number(header, "attention.value_length", n_embd // max(*heads, 1))
    if mla and heads_kv[0] == 1:
        # Files of llama.cpp hold one K and V head for all; the engine undoes it (hparams.cpp:1075 and 1628).
        heads_kv = heads
        head_k = number(header, "attention.key_length_mla", 192)
        head_v = number(header, "attention.value_length_mla", 128)
    tensors = {tensor.name: tensor for tensor in header.tensors}
    layers: list[list[str]] = [[] for _ in range(n_layer)]
    for name in tensors:
        layer = layer_of(name)
        if layer is not None and layer < n_layer:
            layers[layer].append(name)
    embedding = tensors.get("token_embd.weight")
    if embedding is None or len(embedding.ne) < 2:
        raise ModelFileError(header.place, "has no tensor 'token_embd.weight'", "name a language model")
    model = Model(
        header=header,
        architecture=header.architecture,
        n_layer=n_layer,
        n_draft=min(number(header, "nextn_predict_layers", 0), n_layer),
        n_embd=n_embd,
        n_vocab=embedding.ne[1],
        n_ctx_train=number(header, "context_length", 0, most=MAX_CONTEXT),
        n_head=heads,
        n_head_kv=heads_kv,
        head_k=head_k,
        head_v=head_v,
        n_rot=number(header, "rope.dimension_count", head_k),
        q_rank=number(header, "attention.q_lora_rank", 0),
        kv_rank=number(header, "attention.kv_lora_rank", 0) if mla else 0,
        n_expert=number(header, "expert_count", 0),
        n_expert_used=number(header, "expert_used_count", 0),
        norms_experts=not by_header or header.meta("expert_weights_norm") is True,
        scales_experts=by_header and scales_experts(header),
        tensors=tensors,
        layers=tuple(tuple(names) for names in layers),
    )
    if model.n_rot > model.head_k:
        fault = f"rotates {model.n_rot} elements of heads that have {model.head_k}"
        raise ModelFileError(header.place, fault, "convert the model again")
    if model.n_expert_used > model.n_expert:
        fault = f"uses {model.n_expert_used} of {model.n_expert} experts"
        raise ModelFileError(header.place, fault, "convert the model again")
    _check_tensors(model)
    return model


# Matrices whose rows are counted, by the start of their short names.
_MATRICES = ("ffn_up", "ffn_gate", "ffn_down", "attn_k_b", "attn_v_b", "attn_kv_b")


def _check_tensors(model: Model) -> None:
    """Refuse a model whose layers lack what the engine can't do without, or whose matrices are none."""
    place, remedy = model.header.place, "convert the model again"
    for layer, names in enumerate(model.layers):
        prefix = f"blk.{layer}."
        for name in names:
            is_matrix = name.startswith(_MATRICES, len(prefix)) and name.endswith(".weight")
            least = 3 if is_expert(name) else 2
            if is_matrix and "norm" not in name and len(model.tensors[name].ne) < least:
                raise ModelFileError(place, f"tensor {name!r} has fewer than {least} dimensions", remedy)
        has_both = model.tensor(layer, "attn_k_b.weight") and model.tensor(layer, "attn_v_b.weight")
        if model.mla and not model.n_head[layer]:
            raise ModelFileError(place, f"layer {layer} has latent attention and no heads", remedy)
        if model.mla and not has_both and model.tensor(layer, "attn_kv_b.weight") is None:
            raise ModelFileError(
                place, f"layer {layer} has no latent attention: '{prefix}attn_kv_b.weight' is missing", remedy
            )
