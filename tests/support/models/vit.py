"""A vision transformer: own blocks around nn.MultiheadAttention, or torch's encoder."""

import torch
from torch import nn


class MLP(nn.Module):
    def __init__(self, dim, hidden_dim, dropout=0.0):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(dim, hidden_dim),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden_dim, dim),
            nn.Dropout(dropout),
        )

    def forward(self, x):
        return self.net(x)


class Block(nn.Module):
    def __init__(self, dim, dropout):
        super().__init__()
        heads = 4  # search: {1, 2, 4}
        mlp_ratio = 2.0  # search: {1.0, 2.0, 4.0}
        self.norm1 = nn.LayerNorm(dim)
        self.attn = nn.MultiheadAttention(dim, heads, dropout=dropout, batch_first=True)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = MLP(dim, int(dim * mlp_ratio), dropout)

    def forward(self, x):
        y = self.norm1(x)
        x = x + self.attn(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.norm2(x))


class ViT(nn.Module):
    def __init__(self, image_size=16, patch_size=4, num_classes=10, channels=3):
        super().__init__()
        assert image_size % patch_size == 0
        num_patches = (image_size // patch_size) ** 2
        dim = 16  # search: {16, 32}
        dropout = 0.0  # search: 0.0..0.2
        pool = "cls"  # search: {"cls", "mean"}
        self.pool = pool
        self.patch_embed = nn.Conv2d(channels, dim, kernel_size=patch_size, stride=patch_size)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim)) if pool == "cls" else None
        extra = 1 if pool == "cls" else 0
        self.pos_embed = nn.Parameter(torch.randn(1, num_patches + extra, dim) * 0.02)
        if True:  # search: {True, False} as own_blocks
            depth = 2  # search: 1..4
            self.blocks = nn.Sequential(*[Block(dim, dropout) for _ in range(depth)])
        else:
            layer = nn.TransformerEncoderLayer(
                dim,
                nhead=4,  # search: {2, 4, 8}
                dim_feedforward=4 * dim,
                dropout=dropout,
                batch_first=True,
                norm_first=True,
            )
            self.blocks = nn.TransformerEncoder(
                layer, num_layers=2, enable_nested_tensor=False
            )  # search: num_layers in 1..3
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, num_classes)

    def forward(self, img):
        x = self.patch_embed(img).flatten(2).transpose(1, 2)
        if self.cls_token is not None:
            x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], dim=1)
        x = self.blocks(x + self.pos_embed)
        x = self.norm(x)
        x = x[:, 0] if self.pool == "cls" else x.mean(dim=1)
        return self.head(x)
