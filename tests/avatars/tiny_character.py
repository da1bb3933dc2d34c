"""A small character that needs no files."""

import numpy as np

from anime_pt.avatars.character import Character, Material

# Role, parent role, rest position of the joint in metres. Arms hang in an A, as in MMD.
_BONES = (
    ("hips", None, (0.0, 0.90, 0.0)),
    ("spine", "hips", (0.0, 1.0, 0.0)),
    ("chest", "spine", (0.0, 1.12, 0.0)),
    ("neck", "chest", (0.0, 1.36, 0.0)),
    ("head", "neck", (0.0, 1.42, 0.0)),
    ("leftUpperArm", "chest", (0.15, 1.32, 0.0)),
    ("leftLowerArm", "leftUpperArm", (0.33, 1.18, 0.0)),
    ("leftHand", "leftLowerArm", (0.50, 1.05, 0.0)),
    ("leftUpperLeg", "hips", (0.09, 0.86, 0.0)),
    ("leftLowerLeg", "leftUpperLeg", (0.09, 0.47, 0.0)),
    ("leftFoot", "leftLowerLeg", (0.09, 0.07, 0.0)),
)
# Role, far end of its ellipsoid, radius.
_FLESH = (
    ("hips", (0.0, 0.99, 0.0), 0.13),
    ("spine", (0.0, 1.15, 0.0), 0.11),
    ("chest", (0.0, 1.33, 0.0), 0.12),
    ("neck", (0.0, 1.43, 0.0), 0.05),
    ("head", (0.0, 1.62, 0.0), 0.12),
    ("leftUpperArm", (0.33, 1.18, 0.0), 0.045),
    ("leftLowerArm", (0.50, 1.05, 0.0), 0.04),
    ("leftHand", (0.58, 0.99, 0.0), 0.035),
    ("leftUpperLeg", (0.09, 0.47, 0.0), 0.075),
    ("leftLowerLeg", (0.09, 0.07, 0.0), 0.06),
    ("leftFoot", (0.09, 0.03, 0.14), 0.045),
)


def _ellipsoid(a: np.ndarray, b: np.ndarray, radius: float, rings: int = 10, sectors: int = 14):
    """Vertices, normals and counter-clockwise triangles of an ellipsoid around the segment a, b."""
    axis = (b - a) / np.linalg.norm(b - a)
    side = np.cross(axis, [0.0, 0.0, 1.0] if abs(axis[2]) < 0.9 else [1.0, 0.0, 0.0])
    side /= np.linalg.norm(side)
    frame = np.stack([side, axis, np.cross(side, axis)], 1)
    half = np.linalg.norm(b - a) / 2 + 0.6 * radius
    t, p = np.meshgrid(
        np.linspace(0, np.pi, rings + 1), np.linspace(0, 2 * np.pi, sectors + 1), indexing="ij"
    )
    sphere = np.stack([np.sin(t) * np.sin(p), np.cos(t), np.sin(t) * np.cos(p)], -1).reshape(-1, 3)
    radii = np.array([radius, half, radius])
    points = (sphere * radii) @ frame.T + (a + b) / 2
    normals = (sphere / radii) @ frame.T
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    i, j = (x.ravel() for x in np.meshgrid(np.arange(rings), np.arange(sectors), indexing="ij"))
    q = i * (sectors + 1) + j
    below = q + sectors + 1
    triangles = np.concatenate([np.stack([q, below, q + 1], 1), np.stack([q + 1, below, below + 1], 1)])
    return points, normals, triangles


def build_tiny() -> Character:
    """A person of ellipsoids, each rigid on one bone, one material for each bone; 1.6 m tall."""
    mirror = np.array([-1.0, 1.0, 1.0])
    bones = [(role, parent, np.array(p)) for role, parent, p in _BONES]
    bones += [
        (
            role.replace("left", "right"),
            parent.replace("left", "right"),
            np.array(p) * mirror,
        )
        for role, parent, p in _BONES
        if role.startswith("left")
    ]
    flesh = [(role, np.array(end), radius) for role, end, radius in _FLESH]
    flesh += [(r.replace("left", "right"), e * mirror, d) for r, e, d in flesh if r.startswith("left")]
    index = {role: i for i, (role, _, _) in enumerate(bones)}
    rest = np.tile(np.eye(4), (len(bones), 1, 1))
    rest[:, :3, 3] = [p for _, _, p in bones]
    points, normals, triangles, joints, materials, surface = [], [], [], [], [], []
    for m, (role, end, radius) in enumerate(flesh):
        p, n, t = _ellipsoid(rest[index[role], :3, 3], end, radius)
        triangles.append(t + sum(map(len, points)))
        points.append(p)
        normals.append(n)
        joints.append(np.full(len(p), index[role]))
        surface.append(np.full(len(t), m))
        shade = 0.5 + 0.5 * np.cos(np.array([0.0, 2.1, 4.2]) + m)
        part = {"head": "face", "leftFoot": "shoes", "rightFoot": "shoes"}.get(role, "skin")
        materials.append(Material(role, (*shade.tolist(), 1.0), part=part))
    positions = np.concatenate(points).astype(np.float32)
    bone = np.zeros((len(positions), 4), np.int32)
    bone[:, 0] = np.concatenate(joints)
    head = index["head"]
    landmarks = {
        "nose": (head, np.array([0.0, 1.50, 0.12])),
        "left_eye": (head, np.array([0.045, 1.54, 0.105])),
        "right_eye": (head, np.array([-0.045, 1.54, 0.105])),
        "left_ear": (head, np.array([0.118, 1.52, 0.0])),
        "right_ear": (head, np.array([-0.118, 1.52, 0.0])),
        "head_top": (head, np.array([0.0, 1.69, 0.0])),
    }
    return Character(
        name="tiny",
        positions=positions,
        normals=np.concatenate(normals).astype(np.float32),
        uvs=np.zeros((len(positions), 2), np.float32),
        joints=bone,
        weights=np.tile(np.float32([1, 0, 0, 0]), (len(positions), 1)),
        outline_scale=np.ones(len(positions), np.float32),
        triangles=np.concatenate(triangles).astype(np.int32),
        triangle_materials=np.concatenate(surface).astype(np.int32),
        materials=materials,
        bone_names=[role for role, _, _ in bones],
        parents=np.array([-1 if parent is None else index[parent] for _, parent, _ in bones], np.int32),
        rest=rest,
        humanoid=index,
        landmarks=landmarks,
    )
