"""Vision transformers of three stages: embeddings, heads, hidden widths and depths to choose (ViT-ResNAS).

From stage to stage a quarter of the tokens is kept, with a shortcut around that as well (Liao, Karaman & Sze
2021). The default is the network that the paper calls ViT-ResNAS-Tiny.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Stem(nn.Module):
    """Four convolutions that make a token of every 14 by 14 pixels.

    Args:
        embed: width of the tokens.
        inner: channels in between.
    """

    def __init__(self, embed: int, inner: int = 24) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, inner, 3, 2, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU())
        self.second = nn.Sequential(
            nn.Conv2d(inner, inner, 3, 1, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU(),
            nn.Conv2d(inner, inner, 3, 1, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU(),
        )  # fmt: skip
        self.last = nn.Conv2d(inner, embed, 7, 7)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (batch, 3, height, width) to (batch, embed, height / 14, width / 14)."""
        x = self.first(x)
        return self.last(x + self.second(x))


class Block(nn.Module):
    """Attention and a perceptron of one hidden layer, each behind a normalisation and a shortcut around it.

    Args:
        embed: width of the tokens.
        heads: number of heads.
        width: of a head.
        hidden: width of the hidden layer.
    """

    def __init__(self, embed: int, heads: int, width: int, hidden: int) -> None:
        super().__init__()
        self.heads, self.width = heads, width
        self.norm1, self.norm2 = nn.LayerNorm(embed), nn.LayerNorm(embed)
        self.qkv = nn.Linear(embed, 3 * heads * width)
        self.out = nn.Linear(heads * width, embed)
        self.mlp = nn.Sequential(nn.Linear(embed, hidden), nn.GELU(), nn.Linear(hidden, embed))

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, tokens, embed) to the same shape."""
        qkv = self.qkv(self.norm1(x)).reshape(*x.shape[:2], 3, self.heads, self.width)
        y = F.scaled_dot_product_attention(*qkv.permute(2, 0, 3, 1, 4).unbind(0))
        x = x + self.out(y.transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm2(x))


class Reduction(nn.Module):
    """Makes one token of four, and all tokens wider.

    Args:
        embed: width of the tokens.
        width: of the tokens that come out, at least as much.
        side: tokens per row and column, behind the one that is classified.
    """

    def __init__(self, embed: int, width: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.more = width - embed
        self.norm = nn.LayerNorm(embed)
        self.conv = nn.Conv2d(embed, width, 3, 2, 1)
        self.linear = nn.Linear(embed, width)
        self.places = nn.Parameter(torch.zeros(1, (side // 2) ** 2, width))
        nn.init.trunc_normal_(self.places, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, 1 + side * side, embed) to (batch, 1 + side * side / 4, width)."""
        y = self.norm(x)
        tokens = self.conv(self.square(y)).flatten(2).transpose(1, 2) + self.places
        kept = F.avg_pool2d(self.square(x), 2).flatten(2).transpose(1, 2)
        y = torch.cat([self.linear(y[:, :1]), tokens], 1)
        return y + F.pad(torch.cat([x[:, :1], kept], 1), (0, self.more))

    def square(self, x: Tensor) -> Tensor:
        """Return the tokens that have a place as (batch, embed, side, side)."""
        x = x[:, 1:].transpose(1, 2)
        return x.reshape(*x.shape[:2], self.side, self.side)


# Of each stage of ViT-ResNAS-Tiny the embedding, and of each block the heads and the hidden width, in the
# units of `ViTResNAS`; None where a block is left out.
TINY: tuple[tuple[int, tuple[tuple[int, int] | None, ...]], ...] = (
    (11, ((3, 11), (3, 9), (3, 10), (4, 9), (4, 11), None)),
    (11, ((5, 11), (4, 11), (4, 10), (4, 11), (5, 10), (5, 8))),
    (11, ((5, 10), (5, 7), (5, 11), (4, 11), (4, 10), None)),
)


class ViTResNAS(nn.Module):
    """The whole network. The widths of a stage are counted in units that double from stage to stage.

    Args:
        classes: 1,000 for ImageNet.
        image: height and width of the images, a multiple of 56.
        unit: of the first stage's embedding; a hidden width is counted in four of them.
    """

    def __init__(self, classes: int = 1000, image: int = 224, unit: int = 16) -> None:
        super().__init__()
        side = image // 14
        body: list[nn.Module] = []
        w = 0
        for stage, (own, blocks) in enumerate(TINY):
            embed = own  # search: {10, 11, 12, 14, 16}
            before, w = w, embed * unit * 2**stage
            if stage == 0:
                self.stem = Stem(w)
                self.token = nn.Parameter(torch.zeros(1, 1, w))
                self.places = nn.Parameter(torch.zeros(1, side**2 + 1, w))
            else:
                body.append(Reduction(before, w, side))
                side = side // 2
            for block, sizes in enumerate(blocks):
                kept = True
                if block % 2 == 1:
                    kept = sizes is not None  # search: {True, False}
                if kept:
                    heads, hidden = sizes or (4, 10)
                    heads = heads  # search: {3, 4, 5, 6}
                    hidden = hidden  # search: 6..12
                    # 3 to 6 heads of two units, and then twice as many of three and of four.
                    count = heads * (1 if stage == 0 else 2)
                    body.append(Block(w, count, (2 + stage) * unit, 4 * hidden * unit * 2**stage))
        self.body = nn.Sequential(*body)
        self.norm = nn.LayerNorm(w)
        self.head = nn.Linear(w, classes)
        nn.init.trunc_normal_(self.token, std=0.02)
        nn.init.trunc_normal_(self.places, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (batch, 3, height, width) to logits (batch, classes)."""
        x = self.stem(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.places
        return self.head(self.norm(self.body(x)[:, 0]))
