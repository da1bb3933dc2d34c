"""PSGAN: full-body pictures from a latent and a pose, grown from 4 x 4 to 1024 x 1024.

Hamada, Tachibana, Li, Honda, Uchida: "Full-body high-resolution anime generation with progressive
structure-conditional generative adversarial networks" (ECCV workshops 2018), on top of Karras, Aila,
Laine, Lehtinen: "Progressive growing of GANs" (ICLR 2018), whose official TensorFlow code
(tkarras/progressive_growing_of_gans) fixes every layer here. With `pose_channels=0` this is ProGAN.

PSGAN's code was never published. What the paper leaves open, and what is done here:

- Pose maps are concatenated, after the features.
- Generator: before the first convolution of each block, after upsampling; at 4 x 4 after the dense layer.
  Pixel norm comes before the concatenation, so that maps stay +-1.
- Discriminator: at the input of each block's first convolution; at 4 x 4 after the minibatch stddev.
- During a fade, the maps of both resolutions are levels of one pyramid, that of the current resolution.
- The fan-in of the equalised learning rate counts the pose channels.
- The minibatch stddev takes the whole minibatch, since batches of 5 and 2 do not divide by 4.

Differences from the official code: the fused scaling of its default is written out as upsampling then
convolution, and convolution then mean pooling (the same functions; its `Conv0_up` kernels are stored
rotated by 180 degrees). Images have the resolution asked for, and are not enlarged to the final one.
"""

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from anime_pt.models import layers

PosePyramid = dict[int, Float[Array, "b r r k"]]


def resolutions(last: int, first: int = 4) -> tuple[int, ...]:
    """Powers of two from `first` to `last`.

    Raises:
      ValueError: one of them is not a power of two, or is below 4, or they are in the wrong order.
    """
    for r in (first, last):
        if r < 4 or r & (r - 1):
            raise ValueError(f"resolution {r}: use a power of two, at least 4")
    if first > last:
        raise ValueError(f"the first resolution, {first}, is above the last, {last}")
    return tuple(1 << i for i in range(first.bit_length() - 1, last.bit_length()))


def channels(resolution: int, fmap_base: int, fmap_max: int) -> int:
    """Feature maps at a resolution: `min(fmap_base / 2^s, fmap_max)` with s = log2(resolution) - 1."""
    return max(1, min(2 * fmap_base // resolution, fmap_max))


def _name(resolution: int) -> str:
    return f"{resolution}x{resolution}"


def _with_pose(x: jax.Array, pose: PosePyramid, pose_channels: int) -> tuple[jax.Array, ...]:
    """Inputs for `EqualizedConv`: features, then the pose map of their resolution."""
    if not pose_channels:
        return (x,)
    resolution = x.shape[1]
    if resolution not in pose or pose[resolution].shape != (*x.shape[:3], pose_channels):
        have = {r: p.shape for r, p in pose.items()}
        raise ValueError(f"need a pose map {(*x.shape[:3], pose_channels)} at {resolution}; have {have}")
    return x, pose[resolution].astype(x.dtype)


class _Start(nnx.Module):
    """The generator's 4 x 4 block: dense layer with a bias per channel, then a convolution."""

    def __init__(self, latent_size: int, features: int, pose_channels: int, *, rngs: nnx.Rngs):
        self.kernel = nnx.Param(layers.normal(rngs, (latent_size, 4, 4, features)))
        self.bias = nnx.Param(jnp.zeros(features))
        self.conv = layers.EqualizedConv(features + pose_channels, features, rngs=rngs)
        self.pose_channels = pose_channels

    def __call__(self, latents, pose):
        kernel = self.kernel[...]
        gain = math.sqrt(2) / 4  # Not sqrt(2): each of the 16 cells is fed by all latents.
        x = jnp.einsum("bz,zhwc->bhwc", latents, kernel * (gain / math.sqrt(kernel.shape[0])))
        x = layers.pixel_norm(layers.leaky_relu(x + self.bias[...]))
        x = self.conv(*_with_pose(x, pose, self.pose_channels))
        return layers.pixel_norm(layers.leaky_relu(x))


class _Up(nnx.Module):
    """A generator block: doubles the resolution, then two convolutions."""

    def __init__(self, inputs: int, features: int, pose_channels: int, *, rngs: nnx.Rngs):
        self.conv0 = layers.EqualizedConv(inputs + pose_channels, features, rngs=rngs)
        self.conv1 = layers.EqualizedConv(features, features, rngs=rngs)
        self.pose_channels = pose_channels

    def __call__(self, x, pose):
        x = _with_pose(layers.upsample(x), pose, self.pose_channels)
        x = layers.pixel_norm(layers.leaky_relu(self.conv0(*x)))
        return layers.pixel_norm(layers.leaky_relu(self.conv1(x)))


class _Down(nnx.Module):
    """A discriminator block: two convolutions; the second halves the resolution before its activation."""

    def __init__(self, features: int, outputs: int, pose_channels: int, *, rngs: nnx.Rngs):
        self.conv0 = layers.EqualizedConv(features + pose_channels, features, rngs=rngs)
        self.conv1 = layers.EqualizedConv(features, outputs, rngs=rngs)
        self.pose_channels = pose_channels

    def __call__(self, x, pose):
        x = layers.leaky_relu(self.conv0(*_with_pose(x, pose, self.pose_channels)))
        return layers.leaky_relu(layers.mean_pool(self.conv1(x)))


class _End(nnx.Module):
    """The discriminator's 4 x 4 block: minibatch stddev, convolution, two dense layers."""

    def __init__(self, features: int, pose_channels: int, stddev_group_size: int | None, *, rngs: nnx.Rngs):
        self.conv = layers.EqualizedConv(features + 1 + pose_channels, features, rngs=rngs)
        self.dense0 = layers.EqualizedDense(16 * features, features, rngs=rngs)
        self.dense1 = layers.EqualizedDense(features, 1, gain=1.0, rngs=rngs)
        self.pose_channels = pose_channels
        self.stddev_group_size = stddev_group_size

    def __call__(self, x, pose):
        x = layers.minibatch_stddev(x, self.stddev_group_size)
        x = layers.leaky_relu(self.conv(*_with_pose(x, pose, self.pose_channels)))
        x = layers.leaky_relu(self.dense0(x.reshape(x.shape[0], -1)))
        return self.dense1(x)[:, 0]


class Generator(nnx.Module):
    """Latents and pose to image; holds the parameters of all resolutions from the start.

    Args:
      resolution: the last resolution, a power of two up to 1024 (more works, with one channel at 16384).
      latent_size: length of a latent.
      pose_channels: keypoints in a pose map; 0 for ProGAN.
      fmap_base: feature maps are `min(2 * fmap_base / resolution, fmap_max)` at each resolution.
      fmap_max: see `fmap_base`.
      rngs: for the initial values; not kept.
    """

    def __init__(
        self,
        resolution: int,
        *,
        latent_size: int = 512,
        pose_channels: int = 0,
        fmap_base: int = 8192,
        fmap_max: int = 512,
        rngs: nnx.Rngs,
    ):
        nf = {r: channels(r, fmap_base, fmap_max) for r in resolutions(resolution)}
        blocks = {_name(4): _Start(latent_size, nf[4], pose_channels, rngs=rngs)}
        for r in resolutions(resolution)[1:]:
            blocks[_name(r)] = _Up(nf[r // 2], nf[r], pose_channels, rngs=rngs)
        self.blocks = nnx.Dict(blocks)
        self.to_rgb = nnx.Dict({_name(r): layers.EqualizedConv(nf[r], 3, 1, gain=1.0, rngs=rngs) for r in nf})

    def __call__(
        self,
        latents: Float[Array, "b z"],
        pose: PosePyramid,
        resolution: int,
        alpha: float | Float[Array, ""] = 1.0,
    ) -> Float[Array, "b r r 3"]:
        """Images of side `resolution`.

        Args:
          latents: samples of N(0, 1); normalised here.
          pose: maps of +-1 by resolution, 4 to `resolution`; {} for ProGAN.
          resolution: static.
          alpha: weight of the newest block in [0, 1]; the rest is the previous resolution, enlarged.

        Returns:
          Images around [-1, 1]; the last layer is linear, so values may lie outside.

        Raises:
          ValueError: a pose map is missing or has the wrong shape, or the resolution was not built.
        """
        x = previous = self.blocks["4x4"](layers.pixel_norm(latents), pose)
        for r in _active(resolution, self.blocks)[1:]:
            previous, x = x, self.blocks[_name(r)](x, pose)
        image = self.to_rgb[_name(resolution)](x)
        if resolution == 4:
            return image
        old = layers.upsample(self.to_rgb[_name(resolution // 2)](previous))
        return old + alpha * (image - old)


class Discriminator(nnx.Module):
    """Image and pose to one logit; mirrors `Generator`, whose arguments it takes.

    Args:
      stddev_group_size: examples per group of the minibatch stddev; None for the whole minibatch.
    """

    def __init__(
        self,
        resolution: int,
        *,
        pose_channels: int = 0,
        fmap_base: int = 8192,
        fmap_max: int = 512,
        stddev_group_size: int | None = None,
        rngs: nnx.Rngs,
    ):
        nf = {r: channels(r, fmap_base, fmap_max) for r in resolutions(resolution)}
        blocks = {_name(4): _End(nf[4], pose_channels, stddev_group_size, rngs=rngs)}
        for r in resolutions(resolution)[1:]:
            blocks[_name(r)] = _Down(nf[r], nf[r // 2], pose_channels, rngs=rngs)
        self.blocks = nnx.Dict(blocks)
        self.from_rgb = nnx.Dict({_name(r): layers.EqualizedConv(3, nf[r], 1, rngs=rngs) for r in nf})

    def __call__(
        self,
        image: Float[Array, "b r r 3"],
        pose: PosePyramid,
        resolution: int,
        alpha: float | Float[Array, ""] = 1.0,
    ) -> Float[Array, " b"]:
        """Logits, higher for real; arguments and errors as of `Generator`."""
        if image.shape[1:] != (resolution, resolution, 3):
            raise ValueError(f"expected images of {resolution} x {resolution} x 3, got {image.shape[1:]}")
        x = layers.leaky_relu(self.from_rgb[_name(resolution)](image))
        for r in _active(resolution, self.blocks)[:0:-1]:
            x = self.blocks[_name(r)](x, pose)
            if r == resolution:
                old = layers.leaky_relu(self.from_rgb[_name(r // 2)](layers.mean_pool(image)))
                x = old + alpha * (x - old)
        return self.blocks["4x4"](x, pose)


def _active(resolution: int, blocks: nnx.Dict) -> tuple[int, ...]:
    if _name(resolution) not in blocks:
        raise ValueError(f"resolution {resolution} was not built; there are {', '.join(blocks)}")
    return resolutions(resolution)


def fade_reals(images: Float[Array, "b r r 3"], alpha: float | Float[Array, ""]) -> Float[Array, "b r r 3"]:
    """Real images at the detail that a fade shows: `alpha` of them, the rest of their half resolution."""
    if images.shape[1] == 4:
        return images
    old = layers.upsample(layers.mean_pool(images))
    return old + alpha * (images - old)
