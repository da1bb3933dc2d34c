"""A copy path for pose transfer: pixels of the source, moved to the target's pose, beside painted ones.

A network that paints everything must redraw the pattern of a costume from its codes; one that copies carries
it. Every pixel of the target moves as a mixture of its joints does, which a network chooses: the sparse and
dense motions of Siarohin et al., "First order motion model for image animation" (NeurIPS 2019), with given
keypoints in place of learnt ones, and a free residual; what cannot be copied is painted, by a soft mask, as
there and in Ren et al., "Deep image spatial transformation for person image generation" (CVPR 2020).

What differs: at first, before anything is learnt, every pixel moves with its nearest joints, since a sampled
picture gives a gradient over one pixel only, and so finds no motion that is far off. Joints are read from the
pose maps, and need no other input. Several sources compete for every pixel with each other and with the
painting; their order does not matter.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from anime_pt.models import layers

# How far a joint moves the pixels around it, at first, in heights of the picture; three times as far, pixels
# are background as much as figure.
_REACH = 0.1
_BACKGROUND = -4.5


class Copied(NamedTuple):
    """What a copy path made.

    Attributes:
      image: the mixture.
      warped: each source in the target's pose.
      share: of each of them in the mixture; the rest is painted.
    """

    image: Float[Array, "b h w c"]
    warped: Float[Array, "b n h w c"]
    share: Float[Array, "b n h w"]


class CopyPath(nnx.Module):
    """See the module's docstring.

    Args:
      code: channels of the codes in the target's pose, at a fraction of the picture's size.
      features: channels of what the picture is painted from.
      keypoints: channels of a pose map.
      image_channels: of the picture.
      rngs: for the initial values; not kept.
    """

    def __init__(self, code: int, features: int, keypoints: int, image_channels: int, *, rngs: nnx.Rngs):
        # One motion for each joint, one for the background; a residual of two numbers; trust.
        self.motion = layers.Conv(code, keypoints + 4, rngs=rngs)
        self.motion.kernel = nnx.Param(jnp.zeros(self.motion.kernel.shape))
        self.motion.bias = nnx.Param(jnp.zeros(self.motion.bias.shape))
        self.hidden = layers.Conv(features + 2 * image_channels, 32, 1, rngs=rngs)
        self.trust = layers.Conv(32, 1, 1, rngs=rngs)

    def __call__(
        self,
        code: Float[Array, "b n h2 w2 f"],
        features: Float[Array, "b h w g"],
        painted: Float[Array, "b h w c"],
        source: Float[Array, "b n h w c"],
        source_pose: Float[Array, "b n h w k"],
        target_pose: Float[Array, "b h w k"],
    ) -> Copied:
        """Mixes the painted picture with what the sources have of it.

        Args:
          code: of each source.
          features: what the picture is painted from.
          painted: the picture.
          source, source_pose, target_pose: as the generator has them.
        """
        b, n, h, w, c = source.shape
        k, (rows, columns) = target_pose.shape[-1], code.shape[2:4]
        out = self.motion(code.reshape(-1, *code.shape[2:])).reshape(b, n, rows, columns, k + 4)
        flow = _flow(out[..., : k + 3], source_pose, target_pose)
        # Up to full size, pixel centres in their places.
        rough = jnp.concatenate([flow, out[..., k + 3 :]], axis=-1)
        rough = jax.image.resize(rough, (b, n, h, w, 3), "linear")
        places = _centres(h, w) + rough[..., :2]
        warped = layers.sample(source.reshape(-1, h, w, c), places.reshape(-1, h, w, 2)).reshape(source.shape)
        beside = [jnp.broadcast_to(x[:, None], (b, n, *x.shape[1:])) for x in (features, painted)]
        fine = jax.nn.relu(self.hidden(jnp.concatenate([*beside, warped], -1).reshape(b * n, h, w, -1)))
        logits = rough[..., 2] + self.trust(fine).reshape(b, n, h, w)
        # The painting competes as one whose logit is 0.
        share = jax.nn.softmax(jnp.pad(logits, ((0, 0), (0, 1), (0, 0), (0, 0))), axis=1)[:, :n]
        image = painted + (share[..., None] * (warped - painted[:, None])).sum(1)
        return Copied(image, warped, share)


def _flow(
    motion: Float[Array, "b n h2 w2 k3"],
    source_pose: Float[Array, "b n h w k"],
    target_pose: Float[Array, "b h w k"],
) -> Float[Array, "b n h2 w2 2"]:
    """Where in a source, seen from the same place in the target, pixels are: x, y in pixels.

    Args:
      motion: logits of joints and background, beside what nearness gives; then the residual in cells.
      source_pose, target_pose: maps.
    """
    h, w, k = target_pose.shape[1:]
    rows, columns = motion.shape[2:4]
    cell = jnp.array([w / columns, h / rows], motion.dtype)
    target, in_target = joints(target_pose)
    source, in_source = joints(source_pose)
    moves = jnp.where((in_source & in_target[:, None])[..., None], source - target[:, None], 0)
    away = (_centres(rows, columns) * cell)[:, :, None] - target[:, None, None]
    near = -jnp.sum(jnp.square(away), axis=-1) / (2 * (_REACH * h) ** 2)
    known = (in_source & in_target[:, None])[:, :, None, None]
    logits = jnp.where(known, near[:, None] + motion[..., :k], -1e9)
    logits = jnp.concatenate([logits, _BACKGROUND + motion[..., k : k + 1]], axis=-1)
    weights = jax.nn.softmax(logits, axis=-1)[..., :k]
    return jnp.einsum("bnhwk,bnkd->bnhwd", weights, moves) + motion[..., k + 1 :] * cell


def joints(pose: Float[Array, "*b h w k"]) -> tuple[Float[Array, "*b k 2"], Bool[Array, "*b k"]]:
    """Joints of maps in [0, 1], single pixels or Gaussians: x, y in pixels, and which there are.

    The centre of mass of a high power of a map: between pixels, and hardly drawn inwards by a border.
    """
    h, w = pose.shape[-3:-1]
    peaks = pose.max((-3, -2))
    mass = jnp.square(jnp.square(jnp.square(jnp.square(pose / jnp.maximum(peaks, 1e-6)[..., None, None, :]))))
    centres = _centres(h, w).astype(pose.dtype)
    total = mass.sum((-3, -2))
    places = jnp.einsum("...hwk,hwd->...kd", mass, centres, precision="highest")
    return places / jnp.maximum(total, 1)[..., None], peaks > 0.5


def _centres(h: int, w: int) -> Float[Array, "h w 2"]:
    """x, y of pixels' centres."""
    x, y = jnp.meshgrid(jnp.arange(w) + 0.5, jnp.arange(h) + 0.5)
    return jnp.stack([x, y], axis=-1)
