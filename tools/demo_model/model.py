"""The network: Mistral's architecture at toy size, with tensor names that GGUF uses."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Shape:
    """The sizes of the network. All widths are multiples of 32, which q8_0 blocks need."""

    vocabulary: int = 2048
    width: int = 192
    layers: int = 7
    heads: int = 6
    kv_heads: int = 3
    ffn_width: int = 512
    rope_base: float = 10_000.0
    norm_epsilon: float = 1e-5

    @property
    def head_width(self) -> int:
        return self.width // self.heads


class RMSNorm(nn.Module):
    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, (x.size(-1),), self.weight.to(x.dtype), self.epsilon)


def linear(inputs: int, outputs: int) -> nn.Linear:
    return nn.Linear(inputs, outputs, bias=False)


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotary positions on interleaved pairs, as GGUF's `llama` architecture applies them."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack([even * cosine - odd * sine, even * sine + odd * cosine], -1).flatten(-2)


class Block(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width, kv_width = shape.width, shape.kv_heads * shape.head_width
        self.shape = shape
        self.attn_norm = RMSNorm(width, shape.norm_epsilon)
        self.attn_q = linear(width, width)
        self.attn_k = linear(width, kv_width)
        self.attn_v = linear(width, kv_width)
        self.attn_output = linear(width, width)
        self.ffn_norm = RMSNorm(width, shape.norm_epsilon)
        self.ffn_gate = linear(width, shape.ffn_width)
        self.ffn_up = linear(width, shape.ffn_width)
        self.ffn_down = linear(shape.ffn_width, width)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor, mask: Tensor | None) -> Tensor:
        rows, length, width = x.shape
        shape = self.shape
        h = self.attn_norm(x)
        q = self.attn_q(h).view(rows, length, shape.heads, shape.head_width).transpose(1, 2)
        k = self.attn_k(h).view(rows, length, shape.kv_heads, shape.head_width).transpose(1, 2)
        v = self.attn_v(h).view(rows, length, shape.kv_heads, shape.head_width).transpose(1, 2)
        q, k = rotate(q, cosine, sine), rotate(k, cosine, sine)
        group = shape.heads // shape.kv_heads
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
        x = x + self.attn_output(mixed.transpose(1, 2).reshape(rows, length, width))
        h = self.ffn_norm(x)
        result: Tensor = x + self.ffn_down(F.silu(self.ffn_gate(h)) * self.ffn_up(h))
        return result


class DemoModel(nn.Module):
    """Token ids (rows, length) to logits (rows, length, vocabulary); input and output embeddings are tied."""

    cosine: Tensor
    sine: Tensor

    def __init__(self, shape: Shape, longest: int = 1024) -> None:
        super().__init__()
        self.shape = shape
        self.token_embd = nn.Embedding(shape.vocabulary, shape.width)
        self.blk = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.output_norm = RMSNorm(shape.width, shape.norm_epsilon)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.5 / math.sqrt(parameter.shape[1]))
        nn.init.normal_(self.token_embd.weight, std=0.05)
        for block in self.blk:
            assert isinstance(block, Block)
            nn.init.zeros_(block.attn_output.weight)
            nn.init.zeros_(block.ffn_down.weight)
        frequencies = shape.rope_base ** -(torch.arange(0, shape.head_width, 2) / shape.head_width)
        angles = torch.outer(torch.arange(longest), frequencies)
        self.register_buffer("cosine", angles.cos(), persistent=False)
        self.register_buffer("sine", angles.sin(), persistent=False)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        x = self.token_embd(tokens)
        length = tokens.shape[1]
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        x = x.to(dtype)
        cosine, sine = self.cosine[:length].to(dtype), self.sine[:length].to(dtype)
        for block in self.blk:
            x = block(x, cosine, sine, mask)
        return F.linear(self.output_norm(x), self.token_embd.weight)
