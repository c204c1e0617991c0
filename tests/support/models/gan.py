"""A generator and a discriminator from one helper, chosen together, held in one module."""

import torch
from torch import nn


def stack(sizes, activation, batch_norm=False, last=None):
    layers = []
    for a, b in zip(sizes[:-2], sizes[1:-1]):
        layers.append(nn.Linear(a, b))
        if batch_norm:
            layers.append(nn.BatchNorm1d(b))
        layers.append(activation())
    layers.append(nn.Linear(sizes[-2], sizes[-1]))
    if last is not None:
        layers.append(last)
    return nn.Sequential(*layers)


def make_net(n_in, n_out, last=None):
    depth = 2  # search: 1..3
    width = 16  # search: {8, 16, 32}
    batch_norm = False  # search: {True, False}
    slope = 0.2  # search: 0.0..0.4
    activation = lambda: nn.LeakyReLU(slope)  # noqa: E731  # search: {(lambda: nn.LeakyReLU(slope)), nn.ReLU, nn.Tanh}
    sizes = [n_in] + [width * 2**i for i in range(depth)] + [n_out]
    return stack(sizes, activation, batch_norm, last)


class GAN(nn.Module):
    def __init__(self, latent_dim=8, data_dim=12):
        super().__init__()
        self.latent_dim = latent_dim
        self.generator = make_net(latent_dim, data_dim, nn.Tanh())
        self.discriminator = make_net(data_dim, 1)

    def forward(self, z):
        fake = self.generator(z)
        return fake, self.discriminator(fake)


def make_pair(latent_dim=8, data_dim=12):
    generator = make_net(latent_dim, data_dim, nn.Tanh())
    discriminator = make_net(data_dim, 1)
    return nn.ModuleDict({"g": generator, "d": discriminator})


def sample(pair, n):
    with torch.no_grad():
        return pair["g"](torch.randn(n, 8))
