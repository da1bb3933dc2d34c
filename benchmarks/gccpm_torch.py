"""GCCPM in PyTorch, for `benchmarks.gccpm` to race against: the layers and names of the public code.

Written from the architecture (Osokin, arXiv 1906.04104); `models/gccpm.py` describes it.
"""

import torch
from torch import nn


def _conv(inputs, outputs, size=3, stride=1, dilation=1, bias=True, norm=True, relu=True):
    padding = dilation if size == 3 else 0
    layers = [nn.Conv2d(inputs, outputs, size, stride, padding, dilation, bias=bias)]
    if norm:
        layers.append(nn.BatchNorm2d(outputs))
    if relu:
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def _separable(inputs, outputs, stride=1, dilation=1):
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, stride, dilation, dilation, groups=inputs, bias=False),
        nn.BatchNorm2d(inputs),
        nn.ReLU(inplace=True),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def _head(inputs, hidden, maps):
    hidden_layer = _conv(inputs, hidden, 1, norm=False)
    return nn.Sequential(hidden_layer, _conv(hidden, maps, 1, norm=False, relu=False))


class _Residual(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.initial = _conv(inputs, outputs, 1, norm=False)
        self.trunk = nn.Sequential(_conv(outputs, outputs), _conv(outputs, outputs, dilation=2))

    def forward(self, x):
        x = self.initial(x)
        return x + self.trunk(x)


class _Context(nn.Module):
    def __init__(self, channels):
        super().__init__()
        wide = 2 * channels

        def pair(inputs, outputs, stride=1):
            return nn.Sequential(_conv(inputs, wide, stride=stride), _conv(wide, outputs))

        self.encoder1 = pair(channels, wide, 2)
        self.encoder2 = pair(wide, wide, 2)
        self.decoder2 = pair(2 * wide, wide)
        self.decoder1 = pair(channels + wide, channels)

    def forward(self, x):
        half = self.encoder1(x)
        quarter = self.encoder2(half)
        half = self.decoder2(torch.cat([half, _enlarged(quarter, half)], 1))
        return self.decoder1(torch.cat([x, _enlarged(half, x)], 1))


def _enlarged(x, like):
    return nn.functional.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)


class _Initial(nn.Module):
    def __init__(self, channels, maps):
        super().__init__()
        self.trunk = nn.Sequential(*(_conv(channels, channels) for _ in range(3)))
        self.heatmaps = _head(channels, 512, maps)

    def forward(self, x):
        return self.heatmaps(self.trunk(x))


class _Refinement(nn.Module):
    def __init__(self, channels, maps):
        super().__init__()
        self.trunk = nn.Sequential(
            _Context(channels + maps),
            _Residual(channels + maps, channels),
            _Residual(channels, channels),
            _Residual(channels, channels),
        )
        self.heatmaps = _head(channels, channels, maps)

    def forward(self, x):
        return self.heatmaps(self.trunk(x))


class GCCPM(nn.Module):
    """Maps of every stage, from (b, 3, h, w)."""

    def __init__(self, maps, refinement_stages, channels=128):
        super().__init__()
        self.model = nn.Sequential(
            _conv(3, 32, stride=2, bias=False),
            _separable(32, 64),
            _separable(64, 128, 2),
            _separable(128, 128),
            _separable(128, 256, 2),
            _separable(256, 256),
            _separable(256, 512),
            _separable(512, 512, dilation=2),
            *(_separable(512, 512) for _ in range(4)),
        )
        self.cpm = nn.Sequential(_conv(512, 256), _conv(256, channels))
        self.initial_stage = _Initial(channels, maps)
        self.refinement_stages = nn.ModuleList(_Refinement(channels, maps) for _ in range(refinement_stages))

    def forward(self, x):
        features = self.cpm(self.model(x))
        maps = [self.initial_stage(features)]
        for stage in self.refinement_stages:
            maps.append(stage(torch.cat([features, maps[-1]], 1)))
        return maps
