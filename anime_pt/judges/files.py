"""Judges whose networks are the user's files: LPIPS, FID and IS."""

import pathlib
from collections.abc import Callable, Mapping
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from anime_pt.convert import alexnet, inception, safetensors, torch_files, vgg
from anime_pt.judges import batches
from anime_pt.metrics import distributions, perceptual
from anime_pt.models.vgg import DEPTHS
from anime_pt.state import Net

Pictures = UInt8[np.ndarray, "n h w 3"]
T = TypeVar("T")

RESIZED = {"legacy": distributions.resized_legacy, "clean": distributions.resized_clean}
_CODES = {"legacy": "pytorch-fid", "clean": "clean-fid"}
NOTES = {
    f"{name}_{kind}{suffix}": f"{distributions.NOTES[name + suffix]}; resized as {code}"
    for kind, code in _CODES.items()
    for name, suffix in (("fid", ""), ("is", ""), ("is", "_std"))
}
_SPLITS = 10  # Of IS.
_LEAST = {"lpips_alex": 35, "lpips_vgg": 16}


class Lpips:
    """LPIPS, by torchvision's AlexNet or VGG-16 and the weights of channels that the public code has for it.

    Attributes:
      name: of the metric, "lpips_alex" or "lpips_vgg".
    """

    def __init__(self, network: str, linear: str):
        """Reads the files.

        Args:
          network: alexnet-owt-7be5be79.pth or vgg16-397923af.pth; .safetensors of them, too.
          linear: alex.pth or vgg.pth of lpips/weights/v0.1.

        Raises:
          OSError: a file cannot be read.
          ValueError: one is missing, damaged, or of another network.
        """
        if not (network and linear):
            raise ValueError(
                "LPIPS needs two files: eval.lpips, alexnet-owt-7be5be79.pth or vgg16-397923af.pth of "
                "torchvision, and eval.lpips_linear, alex.pth or vgg.pth of lpips/weights/v0.1"
            )
        self.name, self._net = _loaded("eval.lpips", network, _backbone)
        self._weights = _loaded("eval.lpips_linear", linear, alexnet.load_linear)
        kernels = self._net.params["convs" if self.name == "lpips_alex" else "blocks"]
        layers = (
            kernels
            if self.name == "lpips_alex"
            else [name.replace("relu", "conv") for name in perceptual.LPIPS_VGG]
        )
        widths = [kernels[layer]["kernel"].shape[-1] for layer in layers]
        if [len(w) for w in self._weights] != widths:
            raise ValueError(
                f"eval.lpips_linear = {linear}: not the weights of channels for eval.lpips; take "
                f"{self.name.removeprefix('lpips_')}.pth of lpips/weights/v0.1"
            )
        self._run = jax.jit(self._distance)

    def __call__(self, pictures: Pictures, target: Pictures) -> Float[np.ndarray, " n"]:
        """Distances, 0 for equal pictures.

        Raises:
          ValueError: the pictures are too small for the network.
        """
        if min(pictures.shape[1:3]) < _LEAST[self.name]:
            raise ValueError(
                f"eval.lpips: the network takes pictures of {_LEAST[self.name]} pixels and more, not "
                f"{pictures.shape[1]} x {pictures.shape[2]}; leave it out"
            )
        run = lambda *both: self._run(self._net, self._weights, *both)
        return batches.mapped("LPIPS", run, pictures, target)

    def _distance(self, net: Net, weights: list[Array], *both: UInt8[Array, "b h w 3"]) -> Float[Array, " b"]:
        images = jnp.concatenate(both).astype(jnp.float32) / 127.5 - 1
        if self.name == "lpips_alex":
            found = list(net(images)[0].values())
        else:
            found = [net(images, perceptual.LPIPS_VGG)[0][name] for name in perceptual.LPIPS_VGG]
        a, b = zip(*(jnp.split(x, 2) for x in found), strict=True)
        return perceptual.lpips(a, b, weights)


class Inception:
    """The network of FID and IS, by pytorch-fid's file pt_inception-2015-12-05-6726825d.pth."""

    def __init__(self, path: str):
        """Reads the file; raises OSError where it cannot be read, and ValueError where it is another."""
        self._net = _loaded("eval.inception", path, inception.load)
        self._run = jax.jit(lambda net, images: net(images)[0])

    def __call__(self, what: str, pictures: Pictures) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Features (n, 2048) and logits without bias (n, 1008), by how pictures are resized (`RESIZED`)."""
        return {
            kind: batches.mapped(
                f"Inception of {what} pictures, {kind}",
                lambda x, resized=resized: self._run(self._net, resized(x)),
                pictures,
            )
            for kind, resized in RESIZED.items()
        }


def scores(seen: Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray]]]) -> dict[str, float]:
    """FID and IS of sets by part, from what `Inception` gives: "" for what was made, "/target" for true ones.

    Of sets that are too small for one there is none.
    """
    out = {}
    for part, found in seen.items():
        for kind, (features, logits) in found.items():
            truth, _ = seen["/target"][kind]
            if part != "/target" and min(len(features), len(truth)) > 1:
                out[f"fid_{kind}{part}"] = distributions.frechet_distance(features, truth)
            if len(logits) >= _SPLITS:
                score, spread = distributions.inception_score(logits, _SPLITS)
                out |= {f"is_{kind}{part}": score, f"is_{kind}_std{part}": spread}
    return out


def _backbone(path: str) -> tuple[str, Net]:
    """Name of the metric and the network under it."""
    read = safetensors.read if pathlib.Path(path).suffix == ".safetensors" else torch_files.read_state_dict
    weights = read(path)
    first = next((x for name, x in weights.items() if name.endswith("features.0.weight")), None)
    if first is not None and first.shape[-1] == 11:
        return "lpips_alex", alexnet.build(weights)
    weights = vgg.of_torchvision(weights)
    depths, _ = vgg.sizes(weights)
    if depths != DEPTHS[16]:
        raise ValueError(f"a network of {sum(depths)} convolutions")
    return "lpips_vgg", vgg.build(weights)


_WANTED = {
    "eval.lpips": "torchvision's alexnet-owt-7be5be79.pth or vgg16-397923af.pth",
    "eval.lpips_linear": "alex.pth or vgg.pth of lpips/weights/v0.1 (richzhang/PerceptualSimilarity)",
    "eval.inception": "pt_inception-2015-12-05-6726825d.pth of pytorch-fid",
}


def _loaded(field: str, path: str, load: Callable[[str], T]) -> T:
    """What a file holds; errors name the field of the config, and say what to take."""
    try:
        return load(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"{field} = {path}: there is no such file") from None
    except ValueError as error:
        # A table of names lists all that differs.
        why = str(error).removeprefix(f"{path}: ").partition("; ")[0][:200]
        raise ValueError(
            f"{field} = {path}: take {_WANTED[field]}; this is something else ({why})"
        ) from error
