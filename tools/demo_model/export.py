"""A checkpoint and its tokenizer to one GGUF file: llama architecture, q8_0 matrices, f32 norms.

python export.py run/checkpoint.pt run/tokenizer.json fairlead-demo.gguf
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import gguf
import torch

from model import Shape
from tokens import BOS, CONTROL_TOKENS, EOS, PAD, VOCABULARY, read_vocabulary
from train import LONG_ROW

CONTEXT_LENGTH = 2 * LONG_ROW
MAX_BYTES = 4_000_000
TEMPLATE = Path(__file__).parents[2] / "src/fairlead/engines/demo/mistral-small-3.2.jinja"


def write_metadata(writer: gguf.GGUFWriter, shape: Shape, template: str) -> None:
    writer.add_name("fairlead-demo")
    writer.add_description(
        "Demonstration model of Fairlead, trained on synthetic text. Not an alias of any real model."
    )
    writer.add_organization("Fairlead")
    writer.add_license("apache-2.0")
    writer.add_context_length(CONTEXT_LENGTH)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.ffn_width)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_width)
    writer.add_value_length(shape.head_width)
    writer.add_rope_dimension_count(shape.head_width)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.norm_epsilon)
    writer.add_vocab_size(VOCABULARY)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_chat_template(template)


def write_tokenizer(writer: gguf.GGUFWriter, tokenizer: Path) -> None:
    pieces, merges = read_vocabulary(tokenizer)
    tokens = [*CONTROL_TOKENS, *pieces]
    types = [gguf.TokenType.CONTROL] * len(CONTROL_TOKENS) + [gguf.TokenType.NORMAL] * len(pieces)
    while len(tokens) < VOCABULARY:
        tokens.append(f"<unused_{len(tokens)}>")
        types.append(gguf.TokenType.UNUSED)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("tekken")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(BOS)
    writer.add_eos_token_id(EOS)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(PAD)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)


def export(checkpoint: Path, tokenizer: Path, target: Path, weights: str = "model") -> None:
    state = torch.load(checkpoint, weights_only=True)
    writer = gguf.GGUFWriter(str(target), "llama")
    write_metadata(writer, Shape(**state["shape"]), TEMPLATE.read_text())
    write_tokenizer(writer, tokenizer)
    for name, tensor in state[weights].items():
        values = tensor.float().numpy()
        if values.ndim == 2:
            q8_0 = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(name, gguf.quants.quantize(values, q8_0), raw_dtype=q8_0)
        else:
            writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--weights", choices=("model", "average"), default="model", help="the last ones or the average")
    options = parser.parse_args()
    export(options.checkpoint, options.tokenizer, options.target, options.weights)
    content = options.target.read_bytes()
    print(f"{options.target}: {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}")
    if len(content) > MAX_BYTES:
        raise SystemExit(f"larger than {MAX_BYTES} bytes")


if __name__ == "__main__":
    main()
