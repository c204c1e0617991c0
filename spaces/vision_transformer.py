"""Vision transformers with depth, embedding, heads and MLP ratio to choose (AutoFormer, Chen et al. 2021).

Heads are 64 wide however many there are, so queries, keys and values need not be as wide as the embedding.
The defaults are DeiT-Ti and DeiT-S (Touvron et al. 2021). With `relative` the attention also sees how far
apart two patches are, and means of patches are classified, as in the networks that AutoFormer found.
"""

import torch
from torch import Tensor, nn

HEAD = 64


def linear(features: int, width: int) -> nn.Linear:
    """Return a layer with the initial values of DeiT."""
    layer = nn.Linear(features, width)
    nn.init.trunc_normal_(layer.weight, std=0.02)
    nn.init.zeros_(layer.bias)
    return layer


class Distances(nn.Module):
    """An embedding of the row and column distance between any two tokens.

    Args:
        side: patches per row and column; in front of them is one token that has no place.
        width: of the embedding.
    """

    def __init__(self, side: int, width: int = HEAD) -> None:
        super().__init__()
        self.rows, self.columns = nn.Embedding(2 * side + 2, width), nn.Embedding(2 * side + 2, width)
        nn.init.trunc_normal_(self.rows.weight, std=0.02)
        nn.init.trunc_normal_(self.columns.weight, std=0.02)
        place = torch.arange(side**2)
        for name, at in (("row", place // side), ("column", place % side)):
            apart = torch.zeros(side**2 + 1, side**2 + 1, dtype=torch.long)
            apart[1:, 1:] = at[None, :] - at[:, None] + side + 1
            self.register_buffer(name, apart, persistent=False)

    def forward(self) -> Tensor:
        """Return (tokens, tokens, width)."""
        return self.rows(self.row) + self.columns(self.column)


class Attention(nn.Module):
    """Attention of every token to every token.

    Args:
        embed: width of the tokens.
        heads: number of heads.
        side: patches per row and column if distances between them count, else 0.
    """

    def __init__(self, embed: int, heads: int, side: int = 0) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = linear(embed, 3 * heads * HEAD)
        self.out = linear(heads * HEAD, embed)
        self.distances = nn.ModuleList([Distances(side), Distances(side)] if side else [])

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, tokens, embed) to the same shape."""
        qkv = self.qkv(x).reshape(*x.shape[:2], 3, self.heads, HEAD).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0] * HEAD**-0.5, qkv[1], qkv[2]
        scores = q @ k.transpose(-2, -1)
        if self.distances:
            scores = scores + torch.einsum("bhqd,qkd->bhqk", q, self.distances[0]())
        shares = scores.softmax(-1)
        y = shares @ v
        if self.distances:
            y = y + torch.einsum("bhqk,qkd->bhqd", shares, self.distances[1]())
        return self.out(y.transpose(1, 2).reshape(*x.shape[:2], self.heads * HEAD))


class Block(nn.Module):
    """Attention and a perceptron of one hidden layer, each behind a normalisation and a shortcut around it.

    Args:
        embed: width of the tokens.
        heads: of the attention.
        hidden: width of the hidden layer.
        side: as for `Attention`.
    """

    def __init__(self, embed: int, heads: int, hidden: int, side: int = 0) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(embed, eps=1e-6), nn.LayerNorm(embed, eps=1e-6)
        self.attention = Attention(embed, heads, side)
        self.mlp = nn.Sequential(linear(embed, hidden), nn.GELU(), linear(hidden, embed))

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, tokens, embed) to the same shape."""
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class VisionTransformer(nn.Module):
    """The whole network, of given sizes.

    Args:
        embed: width of the tokens.
        heads: of each layer.
        ratios: of each layer, how many times as wide as the tokens the hidden layer of its perceptron is.
        classes: 1,000 for ImageNet.
        image: height and width of the images.
        patch: height and width of what a token is made of.
        relative: whether distances between patches count, and means of patches are classified.
    """

    def __init__(
        self,
        embed: int,
        heads: list[int],
        ratios: list[float],
        classes: int = 1000,
        image: int = 224,
        patch: int = 16,
        relative: bool = False,
    ) -> None:
        super().__init__()
        side = image // patch
        self.relative = relative
        self.patches = nn.Conv2d(3, embed, patch, patch)
        self.token = nn.Parameter(torch.zeros(1, 1, embed))
        self.places = nn.Parameter(torch.zeros(1, side**2 + 1, embed))
        blocks = []
        for count, ratio in zip(heads, ratios, strict=True):
            blocks.append(Block(embed, count, int(ratio * embed), side if relative else 0))
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(embed, eps=1e-6)
        self.head = linear(embed, classes)
        nn.init.trunc_normal_(self.token, std=0.02)
        nn.init.trunc_normal_(self.places, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (batch, 3, height, width) to logits (batch, classes)."""
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.places
        x = self.norm(self.blocks(x))
        return self.head(x[:, 1:].mean(1) if self.relative else x[:, 0])


def tiny(classes: int = 1000, image: int = 224, patch: int = 16, relative: bool = False) -> VisionTransformer:
    """Return a network about the size of DeiT-Ti, by default that one; arguments as for the class."""
    embed = 192  # search: {192, 216, 240}
    heads, ratios = [], []
    for layer in range(12):  # search: 12..14
        count = 3  # search: {3, 4} as heads
        ratio = 4.0  # search: {3.0, 3.5, 4.0}
        heads.append(count)
        ratios.append(ratio)
    return VisionTransformer(embed, heads, ratios, classes, image, patch, relative)


def small(
    classes: int = 1000, image: int = 224, patch: int = 16, relative: bool = False
) -> VisionTransformer:
    """Return a network about the size of DeiT-S, by default that one; arguments as for the class."""
    embed = 384  # search: {320, 384, 448}
    heads, ratios = [], []
    for layer in range(12):  # search: 12..14
        count = 6  # search: {5, 6, 7} as heads
        ratio = 4.0  # search: {3.0, 3.5, 4.0}
        heads.append(count)
        ratios.append(ratio)
    return VisionTransformer(embed, heads, ratios, classes, image, patch, relative)
