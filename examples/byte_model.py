"""A small byte-level transformer whose attention is handed in: all that differs between variants."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# (q, k, v) -> output, each (batch, heads, seqlen, head_dim)
Attention = Callable[[Tensor, Tensor, Tensor], Tensor]


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions on (batch, heads, seqlen, head_dim)."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1)


class Block(nn.Module):
    def __init__(self, d_model: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.attention_norm = nn.LayerNorm(d_model)
        self.qkv = nn.Linear(d_model, 3 * d_model, bias=False)
        self.out = nn.Linear(d_model, d_model, bias=False)
        self.mlp = nn.Sequential(
            nn.LayerNorm(d_model),
            nn.Linear(d_model, 4 * d_model, bias=False),
            nn.GELU(),
            nn.Linear(4 * d_model, d_model, bias=False),
        )

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, attention: Attention) -> Tensor:
        batch, seqlen, d_model = x.shape
        qkv = self.qkv(self.attention_norm(x))
        q, k, v = qkv.view(batch, seqlen, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        o = attention(rotate(q, cos, sin), rotate(k, cos, sin), v)
        x = x + self.out(o.transpose(1, 2).reshape(batch, seqlen, d_model))
        return x + self.mlp(x)


class ByteModel(nn.Module):
    """Pre-norm transformer with rotary positions; logits over the next byte."""

    def __init__(self, *, d_model: int, num_heads: int, num_layers: int) -> None:
        super().__init__()
        self.head_dim = d_model // num_heads
        self.embedding = nn.Embedding(256, d_model)
        self.blocks = nn.ModuleList(Block(d_model, num_heads) for _ in range(num_layers))
        self.norm = nn.LayerNorm(d_model)
        self.logits = nn.Linear(d_model, 256, bias=False)
        # Embeddings keep torch's unit variance: the residual stream must not drown the byte itself.
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=0.02)

    def forward(self, tokens: Tensor, attention: Attention) -> Tensor:
        """(batch, seqlen) bytes to (batch, seqlen, 256) logits."""
        positions = torch.arange(tokens.shape[1], dtype=torch.float32)
        frequencies = 10_000.0 ** (-torch.arange(0, self.head_dim, 2, dtype=torch.float32) / self.head_dim)
        angles = torch.outer(positions, frequencies)
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, angles.cos(), angles.sin(), attention)
        return self.logits(self.norm(x))

    def loss(self, text: Tensor, attention: Attention) -> Tensor:
        """Mean next-byte cross-entropy, in nats, of (batch, seqlen + 1) bytes."""
        logits = self(text[:, :-1], attention)
        return F.cross_entropy(logits.flatten(0, 1), text[:, 1:].flatten())
