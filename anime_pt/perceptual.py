"""The network of a perceptual loss (Johnson et al. 2016), which recipes of pictures share: a frozen player.

With a file of VGG-19's weights the loss is PATN's, the mean absolute difference of relu1_2. Without, it is
the mean of those of the first three levels of the package's own network (`models/features.py`): another loss.
"""

import pathlib

import jax
import numpy as np
from jaxtyping import Array, Float

from anime_pt import losses
from anime_pt.convert import features as convert_features
from anime_pt.convert import vgg as convert_vgg
from anime_pt.models import features, vgg
from anime_pt.state import Net

_LAYER = "relu1_2"
_LEVELS = ("level1", "level2", "level3")
# How the networks of files want their pictures; see `convert.vgg`.
_INPUTS = {".h5": "keras", ".mat": "matconvnet"}


def create(file: str, key: jax.Array) -> Net:
    """The network that `loaded` fills.

    Args:
      file: of VGG-19's weights, see `convert.vgg`, or "".
      key: for initial values.
    """
    depths = vgg.up_to(vgg.DEPTHS[19], _LAYER)
    inputs = _INPUTS.get(pathlib.Path(file).suffix, "torchvision")

    def build(rngs):
        if not file:
            return features.Features(rngs=rngs)
        return vgg.VGG(depths, vgg.WIDTHS[: len(depths)], inputs=inputs, rngs=rngs)

    return Net.create(build, key)


def loaded(file: str, fresh: Net) -> Net:
    """The network with its weights.

    Args:
      file: see `create`.
      fresh: what `create` made.

    Raises:
      OSError: the file cannot be read.
      ValueError: it is damaged, or of another network.
    """
    net = convert_vgg.load(file, last=_LAYER) if file else convert_features.load()
    shapes = lambda n: jax.tree.map(np.shape, (n.params, n.stats))
    if shapes(net) != shapes(fresh):
        name = file or convert_features.PACKAGED
        raise ValueError(f"{name}: its layers have other widths; take the published weights of VGG-19")
    return net


def loss(net: Net, images: Float[Array, "b h w c"], target: Float[Array, "b h w c"]) -> Float[Array, ""]:
    """How far features of images are from the target's.

    Args:
      net: the network.
      images, target: colours in [-1, 1] first; what follows them, such as a mask, is not seen.
    """
    wanted = jax.lax.stop_gradient(_seen(net, target))
    each = [losses.l1(found, want) for found, want in zip(_seen(net, images), wanted, strict=True)]
    return sum(each) / len(each)


def _seen(net: Net, images: Float[Array, "b h w c"]) -> list[Float[Array, "b _ _ _"]]:
    colours = images[..., :3]
    if "levels" in net.params:
        (found, _), _ = net(colours)
        return [found[level] for level in _LEVELS]
    found, _ = net(colours, (_LAYER,))
    return [found[_LAYER]]
