"""A copy path for pose transfer: pixels of the source, moved to the target's pose, beside painted ones.

A network that paints everything must redraw the pattern of a costume from its codes; one that copies carries
it. Every pixel of the target moves as a mixture of its limbs does, which a network chooses: the sparse and
dense motions of Siarohin et al., "First order motion model for image animation" (NeurIPS 2019), with given
keypoints in place of learnt ones, and a free residual; what cannot be copied is painted, by a soft mask, as
there and in Ren et al., "Deep image spatial transformation for person image generation" (CVPR 2020).

What differs: motions are those of limbs, which turn what is beside them and stretch what lies along them; and
at first, before anything is learnt, every pixel moves with its nearest limb, since a sampled picture gives a
gradient over one pixel only, and so finds no motion that is far off. Joints are read from the
pose maps, and need no other input. Several sources compete for every pixel with each other and with the
painting; their order does not matter.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from anime_pt.models import layers

# How much nearer a limb must be to move a pixel alone, at first, in heights of the picture; five times as far
# from all of them, pixels are background as much as figure.
_REACH = 0.05
_BACKGROUND = -12.5
# Limbs of this length, likewise, turn half of what they seem to: the direction of short ones is chance.
_SHORT = 0.04


class Copied(NamedTuple):
    """What a copy path made.

    Attributes:
      image: the mixture.
      warped: each source in the target's pose.
      share: of each of them in the mixture; the rest is painted.
      flow: from pixels to the places in each source that they are copied from: x, y in pixels.
    """

    image: Float[Array, "b h w c"]
    warped: Float[Array, "b n h w c"]
    share: Float[Array, "b n h w"]
    flow: Float[Array, "b n h w 2"]

    def enlarged(
        self, painted: Float[Array, "b h w c"], fine: Float[Array, "b n h2 w2 c"]
    ) -> Float[Array, "b h2 w2 c"]:
        """The mixture at a multiple of its size, with the detail that the sources have there.

        Args:
          painted: what was mixed in; it gets larger, and no finer.
          fine: the sources.
        """
        b, n, h, w, c = fine.shape
        times = jnp.array([w / self.flow.shape[3], h / self.flow.shape[2]], self.flow.dtype)
        flow = jax.image.resize(self.flow, (b, n, h, w, 2), "linear") * times
        places = (_centres(h, w) + flow).reshape(-1, h, w, 2)
        warped = layers.sample(fine.reshape(-1, h, w, c), places).reshape(fine.shape)
        share = jax.image.resize(self.share, (b, n, h, w), "linear")[..., None]
        painted = jax.image.resize(painted, (b, h, w, c), "linear")
        return painted + (share * (warped - painted[:, None])).sum(1)


class CopyPath(nnx.Module):
    """See the module's docstring.

    Args:
      code: channels of the codes in the target's pose, at a fraction of the picture's size.
      features: channels of what the picture is painted from.
      limbs: pairs of joints, by their channels in a pose map; the same one twice stands for a joint alone.
      image_channels: of the picture.
      rngs: for the initial values; not kept.
    """

    def __init__(
        self,
        code: int,
        features: int,
        limbs: Sequence[tuple[int, int]],
        image_channels: int,
        *,
        rngs: nnx.Rngs,
    ):
        self.limbs = tuple((int(a), int(b)) for a, b in limbs)
        # One motion for each limb, one for the background; a residual of two numbers; trust.
        self.motion = layers.Conv(code, len(self.limbs) + 4, rngs=rngs)
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
        rows, columns = code.shape[2:4]
        out = self.motion(code.reshape(-1, *code.shape[2:])).reshape(b, n, rows, columns, -1)
        flow = _flow(out[..., :-1], source_pose, target_pose, self.limbs)
        # Up to full size, pixel centres in their places.
        rough = jnp.concatenate([flow, out[..., -1:]], axis=-1)
        rough = jax.image.resize(rough, (b, n, h, w, 3), "linear")
        places = _centres(h, w) + rough[..., :2]
        warped = layers.sample(source.reshape(-1, h, w, c), places.reshape(-1, h, w, 2)).reshape(source.shape)
        beside = [jnp.broadcast_to(x[:, None], (b, n, *x.shape[1:])) for x in (features, painted)]
        fine = jax.nn.relu(self.hidden(jnp.concatenate([*beside, warped], -1).reshape(b * n, h, w, -1)))
        logits = rough[..., 2] + self.trust(fine).reshape(b, n, h, w)
        # The painting competes as one whose logit is 0.
        share = jax.nn.softmax(jnp.pad(logits, ((0, 0), (0, 1), (0, 0), (0, 0))), axis=1)[:, :n]
        image = painted + (share[..., None] * (warped - painted[:, None])).sum(1)
        return Copied(image, warped, share, rough[..., :2])


def _flow(
    motion: Float[Array, "b n h2 w2 l3"],
    source_pose: Float[Array, "b n h w k"],
    target_pose: Float[Array, "b h w k"],
    limbs: tuple[tuple[int, int], ...],
) -> Float[Array, "b n h2 w2 2"]:
    """Where in a source, seen from the same place in the target, pixels are: x, y in pixels.

    Args:
      motion: logits of limbs and background, beside what nearness gives; then the residual in cells.
      source_pose, target_pose: maps.
      limbs: of their joints.
    """
    h, w = target_pose.shape[1:3]
    rows, columns = motion.shape[2:4]
    cell = jnp.array([w / columns, h / rows], motion.dtype)
    places = (_centres(rows, columns) * cell).astype(motion.dtype)[:, :, None]
    (target, in_target), (source, in_source) = joints(target_pose), joints(source_pose)
    first, last = jnp.array(limbs).T
    in_both = in_source & in_target[:, None]
    known = in_both[:, :, first] & in_both[:, :, last]

    # The point of a limb that is nearest to a pixel, and from there to the pixel.
    start, along = target[:, first], target[:, last] - target[:, first]
    share = jnp.einsum("bhwld,bld->bhwl", places - start[:, None, None], along)
    share = jnp.clip(share / jnp.maximum(jnp.sum(along * along, -1), 1e-3)[:, None, None], 0, 1)[..., None]
    beside = places - (start[:, None, None] + share * along[:, None, None])
    # The same in the source, where the limb has another length and direction.
    ahead = source[:, :, last] - source[:, :, first]
    cosine = jnp.einsum("bnld,bld->bnl", ahead, along) + (_SHORT * h) ** 2
    sine = ahead[..., 1] * along[:, None, :, 0] - ahead[..., 0] * along[:, None, :, 1]
    scale = jnp.sqrt(cosine**2 + sine**2 + 1e-6)
    cosine, sine = (value[:, :, None, None] / scale[:, :, None, None] for value in (cosine, sine))
    x, y = beside[:, None, ..., 0], beside[:, None, ..., 1]
    turned = jnp.stack([cosine * x - sine * y, sine * x + cosine * y], axis=-1)
    found = source[:, :, first][:, :, None, None] + share[:, None] * ahead[:, :, None, None] + turned
    moves = jnp.where(known[:, :, None, None, :, None], found - places, 0)

    near = -jnp.sum(jnp.square(beside), axis=-1) / (2 * (_REACH * h) ** 2)
    logits = jnp.where(known[:, :, None, None], near[:, None] + motion[..., :-3], -1e9)
    logits = jnp.concatenate([logits, _BACKGROUND + motion[..., -3:-2]], axis=-1)
    weights = jax.nn.softmax(logits, axis=-1)[..., :-1]
    return jnp.einsum("bnhwl,bnhwld->bnhwd", weights, moves) + motion[..., -2:] * cell


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
