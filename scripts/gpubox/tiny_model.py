"""A small GGUF of our own, so that a real llama.cpp can be started, switched and measured where there is no GPU and no download.

It is an ordinary dense llama-architecture model with random weights: its speed means something, its text does not.
Three decisions make it pleasant to measure with:

* One token is one byte, and nearly every token that it generates is one printable ASCII character. So a streamed piece
  is a token, and no piece is held back because a UTF-8 sequence is incomplete.
* Nothing writes to channel 0 of the residual stream, so it is the same positive number for every token. Column 0 of the
  output matrix is therefore a bias: it favours the characters of ordinary text and keeps the end-of-text token away.
* A Q8_0 block is an f16 scale and 32 signed bytes, so random bytes *are* random weights: no quantisation, and the same
  file to the byte wherever the same gguf package writes it.
"""

from __future__ import annotations

import math
import os
import random
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gpubox.errors import GpuboxError, ModelFileError

if TYPE_CHECKING:
    import numpy as np
    from gguf import GGUFWriter

SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TRAINED_CONTEXT = 8192

# Characters of English text, commonest first; the bias falls along the list as letter counts do in books.
COMMON_CHARACTERS = " etaoinshrdlcumwfgypbvk.,"
HEAD_DIM = 64
VOCABULARY = 288  # 256 bytes and the specials, filled up to a multiple of the Q8_0 block
Q8_0_BLOCK = 32
BYTE_DEVIATION = 73.9  # standard deviation of a uniformly random signed byte


@dataclass(frozen=True)
class TinyShape:
    """The size of the model.

    Attributes:
        layers: transformer blocks.
        width: n_embd, a multiple of 64.
        ffn: n_ff, a multiple of 32.
        kv_heads: n_head_kv; divides the `width / 64` attention heads.
    """

    layers: int = 10
    width: int = 512
    ffn: int = 1536
    kv_heads: int = 2


def make_tiny_model(path: Path, *, seed: int = 1, shape: TinyShape = TinyShape()) -> Path:
    """Write the model to `path`, all of it or nothing; the same seed and shape give the same bytes.

    Args:
        path: the GGUF to write; its folder is made, an existing file is replaced.
        seed: of the weights.
        shape: how large; the default is 31 million weights, a file of 33 MB.

    Returns:
        `path`.

    Raises:
        GpuboxError: the packages of the `demo` extra are not installed.
        ModelFileError: the file can't be written.
    """
    try:
        import gguf  # noqa: PLC0415 - with numpy 0.2 s; only the demo pays for it
    except ImportError as exc:
        raise GpuboxError(
            "gpubox demo",
            f"needs the Python package {exc.name}, which is not installed",
            "run: pip install 'gpubox[demo]'",
        ) from exc
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
        part = Path(name)
        try:
            writer = gguf.GGUFWriter(part, "llama")
            _describe(writer, shape)
            _add_weights(writer, shape, random.Random(seed))  # noqa: S311 - weights, not secrets
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
            writer.close()
            part.chmod(0o644)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as exc:
        raise ModelFileError(str(path), f"can't be written: {exc.strerror or exc}", "choose another folder") from exc
    return path


def byte_vocabulary() -> list[str]:
    """Return the token texts: token b is byte b in the spelling of byte-level BPE, then the specials, then padding.

    That spelling keeps printable Latin-1 characters and moves every other byte to U+0100 and up, in order.
    """
    printable = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    moved = (chr(code) for code in range(0x100, 0x200))
    tokens = [chr(byte) if byte in printable else next(moved) for byte in range(256)]
    tokens += SPECIAL_TOKENS
    return tokens + [f"<|unused{index}|>" for index in range(len(tokens), VOCABULARY)]


def _describe(writer: GGUFWriter, shape: TinyShape) -> None:
    from gguf import TokenType  # noqa: PLC0415

    writer.add_name("gpubox tiny")
    writer.add_context_length(TRAINED_CONTEXT)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.ffn)
    writer.add_head_count(shape.width // HEAD_DIM)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_dimension_count(HEAD_DIM)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(VOCABULARY)

    unused = VOCABULARY - 256 - len(SPECIAL_TOKENS)
    end_of_text, _, end_of_turn = range(256, 256 + len(SPECIAL_TOKENS))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(byte_vocabulary())
    writer.add_token_types(
        [TokenType.NORMAL] * 256 + [TokenType.CONTROL] * len(SPECIAL_TOKENS) + [TokenType.UNUSED] * unused
    )
    writer.add_token_merges([""])  # the reader wants the key; an array can't be empty
    writer.add_bos_token_id(end_of_text)
    writer.add_eos_token_id(end_of_text)
    writer.add_eot_token_id(end_of_turn)
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)


def _add_weights(writer: GGUFWriter, shape: TinyShape, source: random.Random) -> None:
    """Add every tensor; each matrix is scaled by 1 / sqrt(inputs), so that activations keep their size."""
    import numpy as np  # noqa: PLC0415
    from gguf import GGMLQuantizationType  # noqa: PLC0415

    def q8_0(name: str, rows: int, columns: int, *, spare_channel_0: bool = False) -> None:
        blocks = np.frombuffer(source.randbytes(rows * columns), np.int8).reshape(rows, -1, Q8_0_BLOCK)
        scale = np.full((rows, blocks.shape[1], 1), 1 / math.sqrt(columns) / BYTE_DEVIATION, "<f2")
        if spare_channel_0:
            scale[0] = 0
        packed = np.concatenate([scale.view(np.int8), blocks], axis=2).reshape(rows, -1).view(np.uint8)
        writer.add_tensor(name, packed, raw_dtype=GGMLQuantizationType.Q8_0)

    def ones(name: str) -> None:
        writer.add_tensor(name, np.ones(shape.width, np.float32))

    def dense(deviation: float) -> np.ndarray:
        bytes_ = np.frombuffer(source.randbytes(VOCABULARY * shape.width), np.int8)
        return bytes_.astype(np.float32).reshape(VOCABULARY, shape.width) * np.float32(deviation / BYTE_DEVIATION)

    embedding = dense(2.0)
    embedding[:, 0] = 4.0
    writer.add_tensor("token_embd.weight", embedding.astype(np.float16))
    for layer in range(shape.layers):
        block = f"blk.{layer}"
        ones(f"{block}.attn_norm.weight")
        q8_0(f"{block}.attn_q.weight", shape.width, shape.width)
        q8_0(f"{block}.attn_k.weight", shape.kv_heads * HEAD_DIM, shape.width)
        q8_0(f"{block}.attn_v.weight", shape.kv_heads * HEAD_DIM, shape.width)
        q8_0(f"{block}.attn_output.weight", shape.width, shape.width, spare_channel_0=True)
        ones(f"{block}.ffn_norm.weight")
        q8_0(f"{block}.ffn_gate.weight", shape.ffn, shape.width)
        q8_0(f"{block}.ffn_up.weight", shape.ffn, shape.width)
        q8_0(f"{block}.ffn_down.weight", shape.width, shape.ffn, spare_channel_0=True)
    ones("output_norm.weight")
    output = dense(1.0 / math.sqrt(shape.width))
    output[:, 0] = _output_bias()
    writer.add_tensor("output.weight", output.astype(np.float16))


def _output_bias() -> list[float]:
    """Return one bias per token: common characters up, other printable ones down, the rest (end of text among it) far down."""
    bias = [-8.0] * VOCABULARY
    for code in range(ord(" "), ord("~") + 1):
        rank = COMMON_CHARACTERS.find(chr(code))
        bias[code] = -1.5 if rank < 0 else 0.8 - rank / 16
    return bias
