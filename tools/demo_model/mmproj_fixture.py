"""A tiny Pixtral projector with random weights: image requests can be tested without any download.

    python mmproj_fixture.py ../../tests/fixtures/demo-mmproj.gguf

It sees nothing. Its output width is the demo model's, so that the engine accepts the pair.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

from model import Shape

SEED = 0
WIDTH, FFN_WIDTH, LAYERS, HEADS = 64, 128, 2, 4
PATCH, MERGE, IMAGE = 14, 2, 448


def tensors(rng: np.random.Generator, output: int) -> dict[str, NDArray[np.float32]]:
    def random(*shape: int) -> NDArray[np.float32]:
        return (rng.standard_normal(shape) * 0.05).astype(np.float32)

    ones = np.ones(WIDTH, np.float32)
    named = {
        "v.patch_embd.weight": random(WIDTH, 3, PATCH, PATCH),
        "v.pre_ln.weight": ones,
        "mm.1.weight": random(output, WIDTH),
        "mm.2.weight": random(output, output),
        "v.token_embd.img_break": random(output),
        "mm.input_norm.weight": ones,
        "mm.patch_merger.weight": random(WIDTH, WIDTH * MERGE * MERGE),
    }
    for layer in range(LAYERS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
            named[f"v.blk.{layer}.{name}.weight"] = random(WIDTH, WIDTH)
        named[f"v.blk.{layer}.ln1.weight"] = ones
        named[f"v.blk.{layer}.ln2.weight"] = ones
        named[f"v.blk.{layer}.ffn_gate.weight"] = random(FFN_WIDTH, WIDTH)
        named[f"v.blk.{layer}.ffn_up.weight"] = random(FFN_WIDTH, WIDTH)
        named[f"v.blk.{layer}.ffn_down.weight"] = random(WIDTH, FFN_WIDTH)
    return named


def write(target: Path) -> None:
    output = Shape().width
    writer = gguf.GGUFWriter(str(target), "clip")
    writer.add_type("mmproj")
    writer.add_name("fairlead-demo-mmproj (random weights, a test fixture)")
    writer.add_license("apache-2.0")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_string("clip.projector_type", "pixtral")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_bool("clip.has_audio_encoder", False)
    writer.add_bool("clip.use_silu", True)
    for key, number in {
        "image_size": IMAGE, "patch_size": PATCH, "embedding_length": WIDTH, "feed_forward_length": FFN_WIDTH,
        "block_count": LAYERS, "attention.head_count": HEADS, "projection_dim": output, "spatial_merge_size": MERGE,
    }.items():  # fmt: skip
        writer.add_uint32(f"clip.vision.{key}", number)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    writer.add_array("clip.vision.image_mean", [0.48145466, 0.4578275, 0.40821073])
    writer.add_array("clip.vision.image_std", [0.26862954, 0.26130258, 0.27577711])
    for name, values in tensors(np.random.default_rng(SEED), output).items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", type=Path)
    options = parser.parse_args()
    write(options.target)
    print(f"{options.target}: {options.target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
