"""PATN in PyTorch, for `benchmarks.train_step` to race against: layers, names and step of the public code.

Written from the architecture (Zhu et al., CVPR 2019); `models/patn.py` describes it. One thing is not as in
the public code: discriminators get no gradients in the generator's step, which would be thrown away.
"""

import torch
from torch import nn
from torch.nn import functional


def _norm(norm, features):
    return nn.BatchNorm2d(features) if norm == "batch" else nn.InstanceNorm2d(features)


def _down(inputs, width, norm):
    bias = norm == "instance"
    return [
        nn.ReflectionPad2d(3),
        nn.Conv2d(inputs, width, 7, bias=bias),
        _norm(norm, width),
        nn.ReLU(True),
        nn.Conv2d(width, 2 * width, 3, 2, 1, bias=bias),
        _norm(norm, 2 * width),
        nn.ReLU(True),
        nn.Conv2d(2 * width, 4 * width, 3, 2, 1, bias=bias),
        _norm(norm, 4 * width),
        nn.ReLU(True),
    ]


def _pair(inputs, outputs, norm, dropout, last_norm=True):
    bias = norm == "instance"
    layers = [
        nn.ReflectionPad2d(1),
        nn.Conv2d(inputs, inputs, 3, bias=bias),
        _norm(norm, inputs),
        nn.ReLU(True),
        nn.Dropout(dropout),
        nn.ReflectionPad2d(1),
        nn.Conv2d(inputs, outputs, 3, bias=bias),
    ]
    return nn.Sequential(*layers, *([_norm(norm, outputs)] if last_norm else []))


class _Block(nn.Module):
    def __init__(self, features, pose_features, norm, dropout):
        super().__init__()
        self.conv_block_stream1 = _pair(features, features, norm, dropout)
        self.conv_block_stream2 = _pair(pose_features, features, norm, dropout, last_norm=False)

    def forward(self, image, pose):
        pose = self.conv_block_stream2(pose)
        image = image + self.conv_block_stream1(image) * torch.sigmoid(pose)
        return image, torch.cat([pose, image], 1)


class _Body(nn.Module):
    def __init__(self, keypoints, width, blocks, norm, dropout):
        super().__init__()
        self.stream1_down = nn.Sequential(*_down(3, width, norm))
        self.stream2_down = nn.Sequential(*_down(2 * keypoints, width, norm))
        code = 4 * width
        self.att = nn.ModuleList(_Block(code, 2 * code if i else code, norm, dropout) for i in range(blocks))
        bias = norm == "instance"
        up = lambda i, o: [nn.ConvTranspose2d(i, o, 3, 2, 1, 1, bias=bias), _norm(norm, o), nn.ReLU(True)]
        self.stream1_up = nn.Sequential(
            *up(code, 2 * width),
            *up(2 * width, width),
            nn.ReflectionPad2d(3),
            nn.Conv2d(width, 3, 7),
            nn.Tanh(),
        )

    def forward(self, image, poses):
        image, pose = self.stream1_down(image), self.stream2_down(poses)
        for block in self.att:
            image, pose = block(image, pose)
        return self.stream1_up(image)


class Generator(nn.Module):
    """From a picture and both poses' maps."""

    def __init__(self, keypoints, width=64, blocks=9, norm="instance", dropout=0.5):
        super().__init__()
        self.model = _Body(keypoints, width, blocks, norm, dropout)

    def forward(self, image, poses):
        return self.model(image, poses)


class _Residual(nn.Module):
    def __init__(self, features, norm, dropout):
        super().__init__()
        self.conv_block = _pair(features, features, norm, dropout)

    def forward(self, x):
        return x + self.conv_block(x)


class Discriminator(nn.Module):
    def __init__(self, channels, width=64, blocks=3, norm="instance", dropout=0.5):
        super().__init__()
        residuals = (_Residual(4 * width, norm, dropout) for _ in range(blocks))
        self.model = nn.Sequential(*_down(channels, width, norm), *residuals)

    def forward(self, x):
        return self.model(x)


class Features(nn.Module):
    """VGG-19's relu1_2 of pictures in [-1, 1]; random weights."""

    def __init__(self):
        super().__init__()
        first, second = nn.Conv2d(3, 64, 3, padding=1), nn.Conv2d(64, 64, 3, padding=1)
        self.features = nn.Sequential(first, nn.ReLU(True), second, nn.ReLU(True)).requires_grad_(False)
        mean, deviation = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).reshape(2, 1, 3, 1, 1)
        self.mean, self.deviation = mean, deviation

    def forward(self, x):
        return self.features(((x + 1) / 2 - self.mean) / self.deviation)


class Step:
    """One iteration in the public code's DeepFashion form: least squares, weights 5, 1 and 1, no pool.

    Args:
      generator, discriminators: the networks; of shape, then of appearance.
      features: of the perceptual loss.
      batch: source, source_pose, target, target_pose.
    """

    def __init__(self, generator, discriminators, features, batch):
        self.generator, self.discriminators, self.features = generator, discriminators, features
        self.source, self.source_pose, self.target, self.target_pose = batch
        adam = lambda net: torch.optim.Adam(net.parameters(), 2e-4, (0.5, 0.999))
        self.adams = [adam(net) for net in (generator, *discriminators)]
        self.conditions = (self.target_pose, self.source)

    def __call__(self):
        """Updates all networks; returns the three losses."""
        fake = self.generator(self.source, torch.cat([self.source_pose, self.target_pose], 1))
        self._train_discriminators(False)
        scores = [
            net(torch.cat([fake, beside], 1))
            for net, beside in zip(self.discriminators, self.conditions, strict=True)
        ]
        loss = 5 * sum(self._squares(score, 1) for score in scores) / 2
        loss = loss + functional.l1_loss(fake, self.target)
        loss = loss + functional.l1_loss(self.features(fake), self.features(self.target))
        self._update(self.adams[0], loss)
        self._train_discriminators(True)
        losses = [loss.detach()]
        for net, adam, beside in zip(self.discriminators, self.adams[1:], self.conditions, strict=True):
            real = self._squares(net(torch.cat([self.target, beside], 1)), 1)
            loss = 2.5 * (real + self._squares(net(torch.cat([fake.detach(), beside], 1)), 0))
            self._update(adam, loss)
            losses.append(loss.detach())
        return [float(loss) for loss in losses]

    def _train_discriminators(self, on):
        for net in self.discriminators:
            net.requires_grad_(on)

    @staticmethod
    def _squares(score, target):
        return functional.mse_loss(score, torch.full_like(score, target))

    @staticmethod
    def _update(adam, loss):
        adam.zero_grad()
        loss.backward()
        adam.step()
