"""The same GPT in eager PyTorch: fused attention, AdamW, gradients clipped, windows cut from one tensor."""

import gzip
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

WIDTH, HEADS, LAYERS = 128, 4, 4


class Block(nn.Module):
    """Attention and a perceptron, each on a branch."""

    def __init__(self) -> None:
        super().__init__()
        self.first_norm, self.second_norm = (nn.LayerNorm(WIDTH, bias=False) for _ in range(2))
        self.mix = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.out = nn.Linear(WIDTH, WIDTH, bias=False)
        self.expand = nn.Linear(WIDTH, 4 * WIDTH, bias=False)
        self.shrink = nn.Linear(4 * WIDTH, WIDTH, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the stream after this block."""
        batch, time_, width = x.shape
        split = self.mix(self.first_norm(x)).split(width, dim=2)
        queries, keys, values = (
            part.view(batch, time_, HEADS, width // HEADS).transpose(1, 2) for part in split
        )
        mixed = functional.scaled_dot_product_attention(queries, keys, values, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).contiguous().view(batch, time_, width))
        return x + self.shrink(functional.gelu(self.expand(self.second_norm(x))))


class Transformer(nn.Module):
    """Token plus position, blocks, a norm, logits from the token table itself."""

    def __init__(self, vocabulary: int, context: int) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, WIDTH), nn.Embedding(context, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.norm = nn.LayerNorm(WIDTH, bias=False)
        for weight in self.parameters():
            if weight.ndim == 2:
                nn.init.normal_(weight, 0.0, 0.02)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        hidden = self.norm(self.blocks(self.tokens(x) + self.positions.weight[: x.shape[1]]))
        return hidden @ self.tokens.weight.T


def prepare(setting: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Return a block of `steps` updates."""
    text = gzip.decompress((Path(setting["folder"]) / "text/tinyshakespeare.txt.gz").read_bytes()).decode()
    characters = sorted(set(text))
    tokens = torch.tensor([characters.index(mark) for mark in text[: len(text) * 9 // 10]])
    model = Transformer(len(characters), setting["context"])
    decayed = [weight for weight in model.parameters() if weight.ndim == 2]
    plain = [weight for weight in model.parameters() if weight.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}],
        lr=1e-3,
        betas=(0.9, 0.99),
        fused=setting["fused"],
    )
    steps, batch = setting["steps"], setting["batch"]

    def block() -> dict[str, Any]:
        begun = time.perf_counter()
        for _ in range(steps):
            update(model, optimizer, tokens, batch, setting["context"])
        return {"seconds": time.perf_counter() - begun, "examples": steps * batch, "steps": steps}

    return block


def update(
    model: Transformer, optimizer: torch.optim.Optimizer, tokens: torch.Tensor, batch: int, context: int
) -> None:
    """Make one update."""
    starts = torch.randint(len(tokens) - context, (batch,))
    windows = tokens[starts[:, None] + torch.arange(context + 1)]
    logits = model(windows[:, :-1])
    loss = functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), windows[:, 1:].reshape(-1))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
