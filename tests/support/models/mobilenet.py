"""Inverted residuals with expansion, kernel and squeeze-and-excite chosen per block."""

from functools import partial

import torch.nn.functional as F
from torch import nn


def make_divisible(value, divisor=8):
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    if rounded < 0.9 * value:
        rounded += divisor
    return rounded


class ConvBNAct(nn.Sequential):
    def __init__(self, cin, cout, kernel=3, stride=1, groups=1, act=nn.ReLU6):
        layers = [
            nn.Conv2d(cin, cout, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False),
            nn.BatchNorm2d(cout),
        ]
        if act is not None:
            layers.append(act(inplace=True))
        super().__init__(*layers)


class SqueezeExcite(nn.Module):
    def __init__(self, channels):
        super().__init__()
        squeezed = make_divisible(
            channels / 4
        )  # search: {make_divisible(channels / 4), make_divisible(channels / 8)}
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x):
        scale = F.adaptive_avg_pool2d(x, 1)
        scale = self.fc2(F.relu(self.fc1(scale)))
        return x * F.hardsigmoid(scale)


class InvertedResidual(nn.Module):
    def __init__(self, cin, cout, stride, act):
        super().__init__()
        expand = 4  # search: {1, 4, 6}
        kernel = 3  # search: {3, 5, 7}
        hidden = cin * expand
        self.use_res_connect = stride == 1 and cin == cout
        layers = []
        if expand != 1:
            layers.append(ConvBNAct(cin, hidden, kernel=1, act=act))
        layers.append(ConvBNAct(hidden, hidden, kernel, stride, groups=hidden, act=act))
        if False:  # search: {True, False} as se
            layers.append(SqueezeExcite(hidden))
        layers.append(ConvBNAct(hidden, cout, kernel=1, act=None))
        self.conv = nn.Sequential(*layers)

    def forward(self, x):
        if self.use_res_connect:
            return x + self.conv(x)
        return self.conv(x)


class MobileNet(nn.Module):
    # channels, most blocks, stride
    settings = [[8, 2, 1], [16, 3, 2], [24, 3, 2]]

    def __init__(self, num_classes=10, width_mult=1.0):  # search: width_mult in {0.5, 1.0, 1.5}
        super().__init__()
        act = nn.ReLU6  # search: {nn.ReLU6, nn.Hardswish}
        cin = make_divisible(8 * width_mult)
        features = [ConvBNAct(3, cin, stride=2, act=act)]
        for stage, (c, most, s) in enumerate(self.settings):
            cout = make_divisible(c * width_mult)
            depth = 1  # search: 1..3
            for i in range(min(depth, most)):
                stride = s if i == 0 else 1
                features.append(InvertedResidual(cin, cout, stride, act))
                cin = cout
        last = make_divisible(32 * max(1.0, width_mult))
        features.append(ConvBNAct(cin, last, kernel=1, act=act))
        self.features = nn.Sequential(*features)
        head = partial(nn.Linear, last)
        self.classifier = nn.Sequential(
            nn.Dropout(p=0.2),  # search: 0.0..0.5
            head(num_classes),
        )

    def forward(self, x):
        x = self.features(x)
        x = F.adaptive_avg_pool2d(x, (1, 1)).flatten(1)
        return self.classifier(x)
