"""Draws the pictures of README.md: `python docs/make_images.py`. Only built-in characters."""

import pathlib
import tempfile

import numpy as np

from anime_pt.avatars import camera, keypoints, poses, procedural, rasterise, rig
from anime_pt.data import styles
from anime_pt.metric_writer import save_image
from anime_pt.pipelines import estimator, figures, matting, overlay, pictures, transfer
from anime_pt.pose import draw
from anime_pt.pose.skeletons import AVATAR_20
from tfds_builders.mmd_pairs import human

HERE = pathlib.Path(__file__).parent / "images"
SEEDS = (3, 8, 4, 31, 13, 1, 22, 7, 28, 6, 12, 18, 27, 15, 30, 20)
SIZE = 200


def figure(seed: int, pose: poses.Pose, yaw: float, costume: int = 0, bones: bool = False) -> np.ndarray:
    character = procedural.build(seed, costume)
    globals_ = rig.pose(character, pose)
    seen_by = camera.still(character, 2 * SIZE, yaw=yaw, heights=1.2)
    frame = rasterise.Renderer(2 * SIZE).render(character, globals_, seen_by)
    picture = frame.over((255, 255, 255))
    if bones:
        picture = _with_bones(picture, keypoints.project(character, globals_, seen_by, frame))
    return picture.reshape(SIZE, 2, SIZE, 2, 3).mean((1, 3)).round().astype(np.uint8)


def _with_bones(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    import cv2

    picture = picture.copy()
    for a, b in AVATAR_20.limb_indices:
        cv2.line(
            picture, *(tuple(int(v) for v in points[i, :2]) for i in (a, b)), (0, 120, 255), 2, cv2.LINE_AA
        )
    for x, y, seen in points:
        cv2.circle(picture, (int(x), int(y)), 5, (255, 60, 60), -1 if seen else 2, cv2.LINE_AA)
    return picture


def motion(seed: int, columns: int = 8) -> np.ndarray:
    """One motion on a human, a tall and a small character, as in the dataset mmd_pairs."""
    steps = poses.sequence(np.random.default_rng(seed), 100)[:: 100 // columns][:columns]
    rows = []
    for character in (human.build(3), procedural.build(3), procedural.build(20)):
        clip = [(rig.pose(character, step), None) for step in steps]
        seen_by = camera.fit_clip(character, clip, SIZE, yaw=20)
        renderer = rasterise.Renderer(SIZE)
        rows.append(
            np.concatenate([renderer.render(character, g, seen_by).over((255, 255, 255)) for g, _ in clip], 1)
        )
    return np.concatenate(rows)


def joints(seeds: tuple[int, ...] = (920_001, 920_004, 920_006, 920_007)) -> np.ndarray:
    """What the packaged estimator finds on characters, and in styles, that it has not been trained on."""
    finder = estimator.Estimator(*estimator.packaged(), flip=True, batch=1)
    tiles = []
    for i, (seed, style) in enumerate(zip(seeds, styles.UNSEEN, strict=True)):
        rng = np.random.default_rng(i)
        plain = figure(seed, poses.sample(rng), rng.uniform(-30, 30))
        drawn = styles.UNSEEN[style](plain.astype(np.float32) / 255, rng)
        drawn = (drawn * 255).round().astype(np.uint8)
        (points,) = finder([finder.crops(drawn, figures.find(drawn).box)])
        tiles += [drawn, overlay.keypoints(drawn, points, AVATAR_20)]
    return np.concatenate(tiles, 1)


def transferred(seeds: tuple[int, ...] = (920_004, 920_007), columns: int = 6) -> np.ndarray:
    """Pictures of characters that the packaged network was not trained on, and what it makes of them: the
    poses are a person's of the dataset mmd_pairs."""
    model, finder = transfer.Model(None), estimator.Estimator(*estimator.packaged(), batch=1)
    driver, rng = human.build(3), np.random.default_rng(2)
    wanted = []
    for _ in range(columns):
        globals_ = rig.pose(driver, poses.sample(rng))
        seen_by = camera.still(driver, SIZE, yaw=rng.uniform(-25, 25))
        frame = rasterise.Renderer(SIZE).render(driver, globals_, seen_by)
        wanted.append(keypoints.project(driver, globals_, seen_by, frame))
    rows = []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "picture.png"
            save_image(path, figure(seed, poses.sample(rng), rng.uniform(-20, 20)))
            source = transfer.source(path, model, finder, 0.2, detail=2)
        asked = np.stack([transfer.framed(w, AVATAR_20, source.points, model) for w in wanted])
        made = np.stack([pictures.before_white(matting.matted(i)) for i in model([source], asked)])
        drawn = np.asarray(draw.drawing(asked * [2, 2, 1], AVATAR_20.limb_indices, made.shape[1:3]))
        if not rows:
            space = np.full_like(made[0], 255)
            rows.append(np.concatenate([space, *((drawn + 1) * 127.5).astype(np.uint8)], 1))
        rows.append(np.concatenate([source.fine[..., :3], *made], 1))
    return np.concatenate(rows)


def main() -> None:
    rng = np.random.default_rng(9)
    cast = [figure(s, poses.sample(rng), rng.uniform(-35, 35)) for s in SEEDS]
    rows = [np.concatenate(cast[i : i + 8], 1) for i in (0, 8)]
    same = [poses.sample(rng) for _ in range(4)]
    row = [
        figure(22, p, y, bones=b) for p, y in zip(same, (0, 30, -40, 15), strict=True) for b in (False, True)
    ]
    rows.append(np.concatenate(row, 1))
    save_image(HERE / "characters.png", np.concatenate(rows))
    save_image(HERE / "motion.png", motion(4))
    save_image(HERE / "joints.png", joints())
    save_image(HERE / "transfer.png", transferred())


if __name__ == "__main__":
    main()
