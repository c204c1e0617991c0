"""A decoder-only language model, by default GPT-2 small (Radford et al. 2019).

Chosen are the number of layers and the embedding, and in each layer the number of heads and the width of the
perceptron, as in searches for smaller models of the kind (LiteTransformerSearch, Javaheripi et al. 2022).
Heads keep their width however many there are.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def linear(features: int, width: int, scale: float = 1.0) -> nn.Linear:
    """Return a layer with the initial values of GPT-2, times a scale."""
    layer = nn.Linear(features, width)
    nn.init.normal_(layer.weight, std=0.02 * scale)
    nn.init.zeros_(layer.bias)
    return layer


class Block(nn.Module):
    """Attention to what came before and a perceptron, each behind a normalisation and a shortcut around it.

    Args:
        embed: width of the tokens.
        heads: number of heads.
        width: of a head.
        ratio: how many times as wide as the tokens the perceptron's hidden layer is.
        depth: number of blocks; what adds to the shortcut starts smaller, the more there is of it.
    """

    def __init__(self, embed: int, heads: int, width: int, ratio: int, depth: int) -> None:
        super().__init__()
        scale = (2 * depth) ** -0.5
        self.heads, self.width = heads, width
        self.norm1, self.norm2 = nn.LayerNorm(embed), nn.LayerNorm(embed)
        self.qkv = linear(embed, 3 * heads * width)
        self.out = linear(heads * width, embed, scale)
        self.mlp = nn.Sequential(
            linear(embed, ratio * embed), nn.GELU(approximate="tanh"), linear(ratio * embed, embed, scale)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, tokens, embed) to the same shape."""
        shape = (*x.shape[:2], self.heads, self.width)
        q, k, v = (y.reshape(shape).transpose(1, 2) for y in self.qkv(self.norm1(x)).chunk(3, -1))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm2(x))


class LanguageModel(nn.Module):
    """The whole network; the embedding of the vocabulary is also the last layer.

    Args:
        vocabulary: number of different tokens.
        context: most tokens at once.
        width: of a head; the embedding is a multiple of it.
    """

    def __init__(self, vocabulary: int = 50257, context: int = 1024, width: int = 64) -> None:
        super().__init__()
        embed = 12  # search: {6, 8, 10, 12}
        embed = embed * width
        self.tokens = nn.Embedding(vocabulary, embed)
        self.places = nn.Embedding(context, embed)
        blocks = []
        depth = 12  # search: 6..12
        for layer in range(depth):
            heads = 12  # search: {4, 6, 8, 10, 12}
            ratio = 4  # search: {2, 3, 4}
            blocks.append(Block(embed, heads, width, ratio, depth))
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(embed)
        self.head = nn.Linear(embed, vocabulary, bias=False)
        self.head.weight = self.tokens.weight
        nn.init.normal_(self.tokens.weight, std=0.02)
        nn.init.normal_(self.places.weight, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (batch, length) to logits (batch, length, vocabulary) of the token after each."""
        x = self.tokens(tokens) + self.places(torch.arange(tokens.shape[1], device=tokens.device))
        return self.head(self.norm(self.blocks(x)))
