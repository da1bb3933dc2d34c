"""A character's pictures and a pose in, the character in that pose out, by a trained network."""

import dataclasses
import functools
import pathlib
from collections.abc import Sequence
from typing import Any

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from anime_pt import evaluate, recipe, train, weights
from anime_pt.checkpoint import Checkpoints
from anime_pt.data import crops
from anime_pt.pipelines import estimate, figures, framing, matting, pictures, projection
from anime_pt.pipelines.estimator import Estimator, ModelError, restored
from anime_pt.pose import affine, draw, sequences
from anime_pt.pose.skeletons import Skeleton
from anime_pt.state import Net, Player, TrainState

# Pictures become at most so many times as large as a network's.
_MOST_DETAIL = 4
PACKAGED = "transfer"


class Model:
    """A network of a training run, as a function of pictures and poses.

    Attributes:
      skeleton: of its poses.
      size: height and width of its pictures.
      frame: where figures are in them.
      rgba: whether its pictures have a mask.
      copies: whether it takes detail from larger sources; see `Source.fine`.
      config: of the run.
      step: of the checkpoint.
      parameters: how many the network has.
    """

    def __init__(self, workdir: pathlib.Path | None, step: int | None = None, kind: str | None = None):
        """Reads the checkpoint `step` of a run: None is the best one, or the latest where none was measured.

        Without a run, the network that comes with the package. `kind` is the recipe that it must be of.

        Raises:
          FileNotFoundError: there is no run, or no such checkpoint.
          ModelError: the run does not transfer poses, is of another kind, or is damaged.
        """
        config, algorithm, nets, step = _packaged(kind) if workdir is None else _of_run(workdir, step, kind)
        transfers = hasattr(algorithm, "transfer")
        stage = evaluate.stage_of(algorithm.stages, step)
        self.skeleton: Skeleton = algorithm.skeleton
        self.size = tuple(stage.resolution)
        self.frame = framing.Frame.of(config.data, self.size)
        self.rgba = bool(config.model.get("rgba", False))
        self.copies = bool(config.model.get("copy", False))
        self.step, self.config = step, config
        self.parameters = sum(x.size for x in jax.tree.leaves([net.params for net in nets.values()]))
        if transfers:
            # The recipe's `transfer` asks of a state nothing but these networks.
            run = jax.jit(lambda nets, *of: jnp.clip(algorithm.transfer(_state(step, nets), *of), -1, 1))
            self._run = functools.partial(run, nets)
        else:
            self._run = projection.Projector(algorithm, nets["generator"], step, stage)

    def __call__(self, sources: Sequence["Source"], poses: np.ndarray) -> np.ndarray:
        """(n, h, w, 3 or 4) uint8 of a character in poses (n, k, 3), in the pixels of `frame`, before white.

        As many times as large as the sources' `fine` are, if they have them, which must all be of one size.
        """
        colours = slice(None) if self.rgba else slice(3)
        images = np.stack([s.image[..., colours] for s in sources])
        own = np.stack([s.points for s in sources])
        fine = ()
        if sources[0].fine is not None:
            fine = (np.stack([s.fine[..., colours] for s in sources]),)
        every = (np.broadcast_to(a, (len(poses), *a.shape)) for a in (images, own, *fine))
        images, own, *fine = every
        return self.each(images, own, poses, *fine)

    def each(
        self, images: np.ndarray, own: np.ndarray, poses: np.ndarray, fine: np.ndarray | None = None
    ) -> np.ndarray:
        """(b, h, w, 3 or 4) uint8 of characters, each in a pose of its own.

        Args:
          images: (b, n, h, w, 3 or 4) uint8, n sources of each, with a mask if `rgba`.
          own: (b, n, k, 3) joints in their pixels.
          poses: (b, k, 3).
          fine: (b, n, h2, w2, 3 or 4) uint8, see `Source`.
        """
        floats = lambda pictures: pictures.astype(np.float32) / 127.5 - 1
        out = self._run(floats(images), own, poses, *(() if fine is None else (floats(fine),)))
        return np.asarray((out + 1) * 127.5 + 0.5).astype(np.uint8)


def _packaged(kind: str | None) -> tuple[Any, recipe.Recipe, dict[str, Net], int]:
    config, net = weights.load(PACKAGED)
    if kind not in (None, config.recipe):
        raise ModelError(
            f"no {kind} comes with the package, only {config.recipe}: train one with configs/{kind}.py, and "
            "name its run with --workdir"
        )
    algorithm = recipe.make(config)
    return config, algorithm, dict.fromkeys(algorithm.transfer_players, net), algorithm.stages[-1].stop


def _of_run(
    workdir: pathlib.Path, step: int | None, kind: str | None = None
) -> tuple[Any, recipe.Recipe, dict[str, Net], int]:
    """Config, recipe, networks and checkpoint of a run; see `Model`."""
    config = train.recorded_config(workdir)
    if kind not in (None, config.recipe):
        raise ModelError(f"{workdir} is a run of the recipe {config.recipe!r}, not of {kind!r}")
    algorithm = recipe.make(config)
    transfers = hasattr(algorithm, "transfer")
    if not transfers and not projection.possible(algorithm):
        what = "knows no poses" if hasattr(algorithm, "generate") else "does not transfer poses"
        raise ModelError(
            f"{workdir} is a run of the recipe {config.recipe!r}, which {what}: name a run of "
            "configs/patn.py, configs/pg2.py or, with poses, configs/psgan.py"
        )
    abstract = jax.eval_shape(algorithm.init, jax.random.key(config.seed))
    with Checkpoints.of_run(config, workdir) as checkpoints:
        step = checkpoints.find(step)
        players = algorithm.transfer_players if transfers else ("generator",)
        nets = {name: restored(checkpoints, abstract, name, step) for name in players}
    return config, algorithm, nets, step


def _state(step: int, nets: dict) -> TrainState:
    return TrainState(jnp.int32(step), {name: Player(net) for name, net in nets.items()})


@dataclasses.dataclass(frozen=True)
class Source:
    """A picture of the character, framed for a network.

    Attributes:
      image: (h, w, 4) uint8, before white, with the figure's mask.
      points: (k, 3) joints, in its pixels.
      remarks: what one should know of it.
      matrix: (2, 3) from the pixels of the user's picture, see `Cut`, to its own.
      fine: (h2, w2, 4) uint8, the image at a multiple of its size, for a network that copies from it.
    """

    image: np.ndarray
    points: np.ndarray
    remarks: tuple[str, ...] = ()
    matrix: np.ndarray | None = None
    fine: np.ndarray | None = None

    @property
    def detail(self) -> int:
        """How many times as large as the network's the picture is from which pixels are copied."""
        return 1 if self.fine is None else len(self.fine) // len(self.image)


@dataclasses.dataclass(frozen=True)
class Cut:
    """The figure of a picture, without its background.

    Attributes:
      picture: (h, w, 3 or 4) uint8, as it was read.
      image: (h, w, 4) uint8, the figure before white, and its mask.
      points: (k, 3) joints, in these pixels.
      skeleton: of the joints, the network's.
      figure: where it is, and how it was told from the background.
      remarks: what one should know of it.
      factor: by which `picture` is smaller than the file's.
    """

    picture: np.ndarray
    image: np.ndarray
    points: np.ndarray
    skeleton: Skeleton
    figure: figures.Figure
    remarks: tuple[str, ...] = ()
    factor: int = 1


def source(
    path: pathlib.Path,
    model: Model,
    estimator: Estimator,
    threshold: float,
    given: sequences.PoseSequence | None = None,
    detail: int | None = None,
) -> Source:
    """The figure of a picture file, without its background; see `cut` and `placed`."""
    return placed(cut(path, model, estimator, threshold, given), model, detail=detail)


def cut(
    path: pathlib.Path,
    model: Model,
    estimator: Estimator,
    threshold: float,
    given: sequences.PoseSequence | None = None,
) -> Cut:
    """The figure of a picture file.

    Args:
      path: of the picture.
      model: for whose skeleton.
      estimator: finds the joints.
      threshold: joints of less confidence are unknown.
      given: the joints, where somebody has corrected them: one frame, in a frame of whatever size.

    Raises:
      ValueError: the picture cannot be read, shows no figure, or neither head, torso nor leg is found; or the
        joints given are not of one frame, in another order (see `check_order`), or have none of these.
    """
    if given is None:
        found = joints(path, estimator, threshold)
        points = sequences.convert(found.points[None], estimator.skeleton, model.skeleton)[0]
        remarks = found.remarks
    elif len(given.keypoints) != 1:
        raise ValueError(
            f"{path}: the joints given for it have {len(given.keypoints)} frames, as those of a motion: give "
            "a file of one frame"
        )
    else:
        try:
            check_order(given.keypoints[0], given.skeleton)
        except ValueError as error:
            raise ValueError(f"{path}: in the joints given for it, {error}") from error
    try:
        seen = pictures.read(path)
        figure = figures.find(seen.image)
    except (pictures.PictureError, figures.NoFigureError) as error:
        raise ValueError(f"{path}: {error}") from error
    if given is not None:
        points = given.as_skeleton(model.skeleton).resized(*seen.size).keypoints[0]
        remarks = ()
    if not framing.parts(points, model.skeleton):
        what = "is among the joints given for it: correct them with python -m anime_pt.annotate"
        if given is None:
            what = (
                "of the figure was found in it: take a picture of one whole figure, or name its joints with "
                "--joints"
            )
        raise ValueError(f"{path}: neither head nor torso nor a leg {what}")
    points[:, :2] /= seen.factor
    if missing := _unknown(points, model.skeleton):
        what = "not found in it" if given is None else "not among the joints given for it"
        remarks += (f"{what}: {', '.join(missing)}",)
    image = np.concatenate(_cut_out(seen.image, figure), -1)
    return Cut(seen.image, image, points, model.skeleton, figure, remarks, seen.factor)


def placed(cut: Cut, model: Model, zoom: float = 1.0, detail: int | None = 1) -> Source:
    """A figure in a network's frame.

    Args:
      cut: the figure.
      model: the network.
      zoom: smaller than the network was trained on, about where it stands.
      detail: how many times as large `fine` is; None: as the picture itself, within limits, if the network
        copies from it.

    Raises:
      ValueError: there is to be more detail than the network takes.
    """
    matrix = framing.picture(cut.points, model.skeleton, cut.figure.box, model.frame)
    x, y = model.size[1] / 2, model.frame.ground * model.size[0]
    about = affine.compose(affine.translate(x, y), affine.scale(zoom), affine.translate(-x, -y))
    matrix = affine.compose(about, matrix)
    if detail is None:
        scale = float(np.hypot(*matrix[:, 0]))
        detail = int(np.clip(round(1 / scale), 1, _MOST_DETAIL)) if model.copies else 1
    if detail > 1 and not model.copies:
        raise ValueError(f"detail = {detail}: only a network with a copy path has more than 1")
    fit = lambda times: crops.warp(
        cut.image,
        affine.compose(affine.scale(times), matrix),
        tuple(times * side for side in model.size),
        border=(255, 255, 255, 0),
    )
    points = affine.apply(matrix, cut.points).astype(np.float32)
    return Source(fit(1), points, cut.remarks, matrix, fit(detail) if detail > 1 else None)


def _cut_out(image: np.ndarray, figure: figures.Figure) -> tuple[np.ndarray, np.ndarray]:
    """The largest figure before white (h, w, 3), and its mask (h, w, 1), uint8."""
    h, w = image.shape[:2]
    flat = pictures.before_white(image)
    if figure.mask is None:
        return flat, np.full((h, w, 1), 255, np.uint8)
    mask = cv2.resize(figure.mask.astype(np.float32), (w, h), interpolation=cv2.INTER_LINEAR)
    # Half a pixel softer than the silhouette: its edge is mixed with the background.
    mask = matting.sharpened(mask)[..., None]
    before = flat * mask + 255 * (1 - mask)
    if image.shape[2] == 4:
        mask = np.minimum(mask, image[..., 3:].astype(np.float32) / 255)
    return (before + 0.5).astype(np.uint8), (255 * mask + 0.5).astype(np.uint8)


def joints(path: pathlib.Path, estimator: Estimator, threshold: float) -> estimate.Estimate:
    """The joints of a picture's figure.

    Raises:
      ValueError: the picture cannot be read, or has none.
    """
    (found,) = estimate.of_pictures(estimator, [path], threshold)
    if found.points is None:
        raise ValueError(f"{path}: {found.error}")
    return found


def check_order(points: np.ndarray, skeleton: Skeleton) -> None:
    """Raises ValueError if joints (k, 3) of a file show another order; see `framing.ordered`."""
    if not framing.ordered(points, skeleton):
        raise ValueError(
            "the joints of the head are too far apart for a head, as if all joints were in the order of "
            f"another program: put them in that of {skeleton.name}, {', '.join(skeleton.keypoints[:3])}, ..."
        )


def framed(points: np.ndarray, skeleton: Skeleton, own: np.ndarray, model: Model) -> np.ndarray:
    """A pose (k, 3) of any skeleton for a model; see `framing.pose`.

    Args:
      points: of the pose, in pixels of whatever picture.
      skeleton: its.
      own: (k, 3) joints of the character in its framed picture.
      model: the network.

    Raises:
      ValueError: the pose is of nobody, lacks a neck or both hips, or has nothing in common with the figure.
    """
    points = sequences.convert(points[None], skeleton, model.skeleton)[0]
    if not np.isfinite(points[:, 0]).any():
        raise ValueError(
            "the pose is of nobody, none of its joints is known: take another file, or another --frame"
        )
    known = lambda *names: any(np.isfinite(points[model.skeleton.index(n), 0]) for n in names)
    lacking = [
        what
        for what, names in (("neck", ("neck",)), ("hips", ("left_hip", "right_hip")))
        if not known(*(n for n in names if n in model.skeleton.keypoints))
    ]
    if lacking:
        raise ValueError(f"the pose has no {' and no '.join(lacking)}: it needs at least these")
    return framing.pose(points, model.skeleton, own, model.frame).astype(np.float32)


def lacking(pose: np.ndarray, model: Model) -> list[str]:
    """What one should know of a pose (k, 3) in a model's frame: joints that it lacks or that are outside."""
    height, width = model.size
    x, y = pose[:, 0], pose[:, 1]
    outside = (x < 0) | (x > width) | (y < 0) | (y > height)
    names = np.array(model.skeleton.keypoints)
    out = []
    if missing := _unknown(pose, model.skeleton):
        out.append(f"the pose does not say where these are, and the network guesses: {', '.join(missing)}")
    if outside.any():
        out.append(f"outside the picture of {width}x{height}: {', '.join(names[outside])}")
    return out


def _unknown(points: np.ndarray, skeleton: Skeleton) -> list[str]:
    return [n for n, p in zip(skeleton.keypoints, points, strict=True) if not np.isfinite(p[:2]).all()]


def sheet(source: Source, pose: np.ndarray, out: np.ndarray, model: Model) -> np.ndarray:
    """The source, its joints, the pose, and what was made, side by side, of the size of the last."""
    limbs, size = model.skeleton.limb_indices, out.shape[:2]
    points = np.stack([source.points, pose]) * [source.detail, source.detail, 1]
    own, wanted = ((np.asarray(draw.drawing(points, limbs, size)) + 1) * 127.5).astype(np.uint8)
    shown = source.image if source.fine is None else source.fine
    return np.concatenate([shown[..., :3], own, wanted, out[..., :3]], 1)
