"""Sets of pictures against sets: FID, IS, SWD. Host NumPy over what `models.inception` gives.

A number of these says little without the number of pictures, the real set, the network and how pictures were
resized for it (`resized_legacy` as pytorch-fid, `resized_clean` as clean-fid). FID and IS are names for the
Inception of 2015-12-05 alone: of other features `frechet_distance` is reported as such, with the network's
name; that of the package's own network is `frechet_small`.
"""

from collections.abc import Iterable

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
from jaxtyping import Array, Float, UInt8

NOTES = {
    "fid": "Frechet distance of Inception features (2015-12-05): lower is better",
    "is": "Inception score, mean over 10 splits: higher is better",
    "is_std": "its standard deviation over the splits",
    "swd": "sliced Wasserstein distance x 1000, mean over sizes (ProGAN): lower is better",
    "frechet_small": "Frechet distance of the package's own network's features: not FID",
}

LEAST_SIDE = 16  # Of the coarsest level of SWD.
_SIDE = 299
_PATCH = 7
_BINOMIAL = np.array([1, 4, 6, 4, 1], np.float32) / 16


def resized_legacy(images: UInt8[Array, "b h w 3"]) -> Float[Array, "b 299 299 3"]:
    """Pictures for Inception as pytorch-fid makes them: bilinear, without care for aliasing; in [-1, 1]."""
    b, *_, c = images.shape
    x = jnp.asarray(images, jnp.float32) / 255
    return 2 * jax.image.resize(x, (b, _SIDE, _SIDE, c), "bilinear", antialias=False) - 1


def resized_clean(images: UInt8[np.ndarray, "b h w 3"]) -> Float[np.ndarray, "b 299 299 3"]:
    """Pictures for Inception as clean-fid makes them ("clean"): Pillow's bicubic, in floats; on the host."""

    def channel(x: np.ndarray) -> np.ndarray:
        return np.asarray(PIL.Image.fromarray(x).resize((_SIDE, _SIDE), PIL.Image.Resampling.BICUBIC))

    images = np.asarray(images).astype(np.float32)
    resized = np.stack([np.stack([channel(x) for x in np.moveaxis(image, -1, 0)], -1) for image in images])
    return (np.clip(resized, 0, 255) - 128) / 128


def frechet_distance(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"]) -> float:
    """Frechet distance of the normal distributions with the means and covariances of two sets of features.

    The trace of the root of S1 S2 is taken from matrices that stay real where the general root turns complex,
    in sets smaller than d: the symmetric r S2 r, where r is the root of S1, has the same eigenvalues; and in
    such sets, these are the squares of the singular values of A B', where S1 = A'A and S2 = B'B.

    Raises:
      ValueError: a set has fewer than two rows.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if min(len(a), len(b)) < 2:
        raise ValueError(f"a covariance needs two pictures and more, not {min(len(a), len(b))}")
    first, second = ((x - x.mean(0)) / np.sqrt(len(x) - 1) for x in (a, b))
    if min(len(a), len(b)) <= a.shape[1]:
        shared = np.linalg.svd(first @ second.T, compute_uv=False).sum()
    else:
        values, vectors = np.linalg.eigh(first.T @ first)
        root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
        shared = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ (second.T @ second) @ root), 0)).sum()
    spread = np.square(first).sum() + np.square(second).sum()
    return float(np.square(a.mean(0) - b.mean(0)).sum() + spread - 2 * shared)


def inception_score(logits: Float[np.ndarray, "n c"], splits: int = 10) -> tuple[float, float]:
    """Mean and standard deviation of exp(mean KL(p(y|x) || p(y))) over contiguous splits.

    Args:
      logits: of Inception without the bias, as the public code computes them; in the pictures' order.
      splits: how many.

    Raises:
      ValueError: fewer pictures than splits.
    """
    if len(logits) < splits:
        raise ValueError(f"{splits} splits need as many pictures, not {len(logits)}")
    logits = np.asarray(logits, np.float64)
    logits = logits - logits.max(1, keepdims=True)
    probabilities = np.exp(logits)
    return split_scores(probabilities / probabilities.sum(1, keepdims=True), splits)


def split_scores(probabilities: Float[np.ndarray, "n c"], splits: int = 10) -> tuple[float, float]:
    """`inception_score` of probabilities."""
    scores = []
    for i in range(splits):
        part = probabilities[i * len(probabilities) // splits : (i + 1) * len(probabilities) // splits]
        part = np.asarray(part, np.float64)
        ratio = np.divide(part, part.mean(0), out=np.ones_like(part), where=part > 0)
        scores.append(np.exp((part * np.log(ratio)).sum(1).mean()))
    return float(np.mean(scores)), float(np.std(scores))


def swd(
    real: Iterable[UInt8[np.ndarray, "b h w 3"]],
    fake: Iterable[UInt8[np.ndarray, "b h w 3"]],
    seed: int = 123,
    patches: int = 128,
) -> dict[int, float]:
    """Sliced Wasserstein distances x 1000 by the height of a Laplacian pyramid's levels (ProGAN, section 5).

    ProGAN takes 16,384 pictures on either side, square ones, and reports the levels and their mean.

    Args:
      real, fake: batches of pictures, as many on either side.
      seed: of the places of patches and of the directions.
      patches: for each picture and level.

    Raises:
      ValueError: the sets do not fit each other, or pictures have less than 16 pixels.
    """
    rng = np.random.RandomState(seed)
    sides: list[list[np.ndarray]] = []
    heights: list[int] = []
    for batches in (real, fake):
        levels = []
        for batch in batches:
            levels.append(patches_of(batch, rng, patches))
            heights = [batch.shape[1] >> i for i in range(len(levels[-1]))]
        sides.append([normalised(np.concatenate(parts)) for parts in zip(*levels, strict=True)])
    if [len(x) for x in sides[0]] != [len(x) for x in sides[1]]:
        raise ValueError("SWD compares sets of as many pictures of the same size")
    distances = [1e3 * sliced_wasserstein(a, b, rng) for a, b in zip(*sides, strict=True)]
    return dict(zip(heights, distances, strict=True))


def patches_of(
    images: UInt8[np.ndarray, "b h w 3"], rng: np.random.RandomState, patches: int = 128
) -> list[Float[np.ndarray, "n 3 7 7"]]:
    """Random patches of each level of the pictures' Laplacian pyramids, the finest first.

    The generator is NumPy's old one, the public code's: it draws the same places as that.
    """
    reach = _PATCH // 2
    around = np.arange(-reach, reach + 1)
    owner = np.arange(len(images) * patches)[:, None, None, None] // patches
    out = []
    for level in laplacian_pyramid(images):
        h, w = level.shape[1:3]
        x = rng.randint(reach, w - reach, (len(owner), 1, 1, 1)) + around[:, None]
        y = rng.randint(reach, h - reach, (len(owner), 1, 1, 1)) + around
        out.append(level[owner, y, x, np.arange(3)[:, None, None]])
    return out


def laplacian_pyramid(images: UInt8[np.ndarray, "b h w 3"]) -> list[Float[np.ndarray, "b _ _ 3"]]:
    """What each halving of the size loses, down to 16 pixels, whose level is the picture itself.

    Of pictures whose sides are not 16, 32, 64, ..., halving ends where a side would be odd, or below 16.

    Raises:
      ValueError: pictures have less than 16 pixels.
    """
    if min(images.shape[1:3]) < LEAST_SIDE:
        raise ValueError(
            f"SWD takes pictures of {LEAST_SIDE} x {LEAST_SIDE} and more, not {images.shape[1:3]}"
        )
    levels = [images.astype(np.float32)]
    while all(side % 2 == 0 and side // 2 >= LEAST_SIDE for side in levels[-1].shape[1:3]):
        fine = levels[-1]
        coarse = _smoothed(fine)[:, ::2, ::2]
        spread = np.zeros_like(fine)
        spread[:, ::2, ::2] = coarse
        levels[-1] = fine - 4 * _smoothed(spread)
        levels.append(coarse)
    return levels


def normalised(patches: Float[np.ndarray, "n 3 7 7"]) -> Float[np.ndarray, "n 147"]:
    """Patches of a whole set, each colour with mean 0 and deviation 1 over the set."""
    mean = patches.mean((0, 2, 3), keepdims=True, dtype=np.float64)
    patches = patches - mean.astype(patches.dtype)
    # Of pictures of one colour only rounding is left, which must not be made large.
    spread = np.maximum(patches.std((0, 2, 3), keepdims=True), 1e-3)
    return (patches / spread).reshape(len(patches), -1)


def sliced_wasserstein(
    a: Float[np.ndarray, "n d"],
    b: Float[np.ndarray, "n d"],
    rng: np.random.RandomState,
    repeats: int = 4,
    directions: int = 128,
) -> float:
    """Mean distance of sorted projections on `repeats` x `directions` random unit directions."""
    found = []
    for _ in range(repeats):
        axes = rng.randn(a.shape[1], directions)
        axes = (axes / np.sqrt(np.square(axes).sum(0))).astype(np.float32)
        # Rows that are whole in memory are sorted several times faster.
        first, second = (np.sort(axes.T @ x.T, axis=1) for x in (a, b))
        found.append(np.abs(first - second).mean())
    return float(np.mean(found))


def _smoothed(x: Float[np.ndarray, "b h w c"]) -> Float[np.ndarray, "b h w c"]:
    """By a binomial window of 5 x 5, mirrored at the borders."""
    border = cv2.BORDER_REFLECT_101
    return np.stack([cv2.sepFilter2D(image, -1, _BINOMIAL, _BINOMIAL, borderType=border) for image in x])
