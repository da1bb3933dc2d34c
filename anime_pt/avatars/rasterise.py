"""Pictures of characters on the CPU: toon shading, outlines, translucency, RGBA with straight alpha.

The picture is made in four compiled steps, single-threaded so that equal inputs give equal bytes:
skin the vertices to pixels; z-buffer the opaque triangles, then the inverted hull (back faces of the mesh
swollen along its normals, which is what draws outlines) at `supersample` times the resolution; collect
translucent fragments in a list per sample; shade. Shading runs once per pixel and triangle, as in
hardware multisampling, with mipmapped textures and a box-filtered ramp, so that the samples only pay for
edges. Light and colour follow MikuMikuDance: texture times material colour, times or plus a sphere map
looked up by the view-space normal, times a toon ramp looked up by n.l. Materials may follow MToon instead
(VRMC_materials_mtoon 1.0) or be unlit. In perspective, triangles are cut at the near plane, and depth and
texture coordinates run as they do in space; outlines keep their width on screen, or that in metres.

Surfaces with alpha are split per texel: opaque texels go through the z-buffer, the others are sorted
back to front per sample, and where depths tie, by the file's drawing order. Files may give an order of their
own by render queues, and surfaces that write depth hide what is drawn behind them later.
"""

import dataclasses

import numpy as np

from anime_pt.avatars import rig
from anime_pt.avatars.camera import Camera, Perspective
from anime_pt.avatars.character import Character
from anime_pt.avatars.morphs import Morphed
from anime_pt.avatars.raster import coverage, fragments, projection, shading
from anime_pt.avatars.raster.coverage import Samples
from anime_pt.avatars.raster.packing import Mesh, Packed, morph, pack
from anime_pt.avatars.raster.projection import Lens, Vertices

# Towards the light in view space: x right, y up, z towards the viewer.
LIGHT = (0.35, 0.55, 0.75)
# Fragments of translucent surfaces that are kept, as a multiple of the number of samples.
_MAX_LAYERS = 12


@dataclasses.dataclass(frozen=True)
class Frame:
    """A rendered picture.

    Attributes:
      image: (h, w, 4) uint8, sRGB with straight alpha; empty pixels are (255, 255, 255, 0).
      depth: (h, w) float32 metres along the view as the camera counts them, larger is farther, inf where
        empty; the nearest sample of each pixel.
      parts: (h, w) uint8 ids into `character.PARTS`, 0 where empty.
      triangles: (h, w) int32 index of the nearest triangle of the character, -1 where empty.
    """

    image: np.ndarray
    depth: np.ndarray
    parts: np.ndarray
    triangles: np.ndarray

    def over(self, color: tuple[int, int, int] | np.ndarray) -> np.ndarray:
        """(h, w, 3) uint8: the figure before a colour in [0, 255] or before an (h, w, 3) uint8 image."""
        back = np.asarray(color, np.int32)
        alpha = self.image[..., 3:].astype(np.int32)
        mixed = self.image[..., :3] * alpha + back * (255 - alpha)
        return ((mixed + 127) // 255).astype(np.uint8)


class Renderer:
    """Draws characters at one size; keeps its buffers between frames. Not for use by two threads at once."""

    def __init__(self, size: int | tuple[int, int] = 512, supersample: int = 2):
        """Makes a renderer.

        Args:
          size: side of a square image, or (height, width), in pixels.
          supersample: samples per pixel along each axis, 1 to 4; 2 smooths edges.
        """
        self.height, self.width = (int(size), int(size)) if np.ndim(size) == 0 else map(int, size)
        if not 1 <= supersample <= 4:
            raise ValueError(f"supersample must be 1 to 4, got {supersample}")
        if min(self.height, self.width) < 1:
            raise ValueError(f"size must be positive, got {size}")
        self.supersample = int(supersample)
        shape = (self.height * supersample, self.width * supersample)
        self._depth = np.empty(shape, np.float32)
        self._ids = np.empty(shape, np.int32)
        self._heads = np.empty((0, 0), np.int32)
        self._pool_links = np.empty((0, 2), np.int32)
        self._pool_depths = np.empty(0, np.float32)
        self._planes = np.empty((0, fragments.PLANES), np.float32)

    def render(
        self,
        character: Character,
        globals_: np.ndarray,
        camera: Camera | Perspective,
        outline: float = 1.0,
        light: tuple[float, float, float] = LIGHT,
        morphed: Morphed | None = None,
    ) -> Frame:
        """Draws a posed character.

        Args:
          character: what to draw.
          globals_: (b, 4, 4) transforms of its bones from `rig.pose`.
          camera: of the same size as the renderer.
          outline: width of outlines in pixels of a 512-pixel image. It grows with the image, so that
            pictures of different sizes look alike, but does not shrink below 3/4 of its value, where lines
            would break into dots. 0 draws none. Widths that materials give in metres are multiplied by it.
          light: direction towards the light in view space (x right, y up, z towards the viewer).
          morphed: takes the place of the character's positions, texture coordinates and materials at rest.

        Raises:
          ValueError: if camera and renderer differ in size.
        """
        if (camera.height, camera.width) != (self.height, self.width):
            raise ValueError(
                f"camera is for {camera.height}x{camera.width}, renderer for {self.height}x{self.width}"
            )
        packed = pack(character) if morphed is None else morph(character, morphed)
        factor = self.supersample
        width = float(outline) * max(0.75, min(self.height, self.width) / 512) * factor
        direction = np.asarray(light, np.float64)
        direction = (direction / max(np.linalg.norm(direction), 1e-9)).astype(np.float32)
        mesh, vertices, lens, box = self._project(
            packed.mesh, character, globals_, camera, outline, width, direction
        )
        image = np.empty((self.height, self.width, 4), np.uint8)
        image.view(np.uint32)[:] = np.frombuffer(b"\xff\xff\xff\x00", np.uint32)[0]
        depth = np.full((self.height, self.width), np.inf, np.float32)
        parts = np.zeros((self.height, self.width), np.uint8)
        triangles = np.full((self.height, self.width), -1, np.int32)
        frame = Frame(image, depth, parts, triangles)
        region = self._region(box)
        if region is not None and len(mesh.triangles):
            self._draw(dataclasses.replace(packed, mesh=mesh), vertices, lens, region, width > 0, frame)
        return frame

    def _project(self, mesh: Mesh, character, globals_, camera, outline, width, light):
        """The mesh and its vertices on screen, the lens, and the box that they fill (4,) in samples."""
        factor, perspective = self.supersample, isinstance(camera, Perspective)
        near = np.float32(camera.near if perspective else 0)
        scale = (camera.focal if perspective else camera.scale) * factor
        view = camera.matrix * np.array([[factor], [factor], [1.0]])
        changes = rig.skinning_matrices(character, globals_)
        matrices = np.empty(changes.shape, np.float32)
        matrices[..., :] = view[:, :3] @ changes
        matrices[..., 3] += view[:, 3]
        count = len(mesh.positions)
        vertices = Vertices(*(np.empty((count, n), np.float32) for n in (3, 3, 4)))
        box = np.empty(4)
        metres = np.float32(float(outline) * scale)
        projection.project(
            mesh,
            matrices,
            np.float32(1 / scale),
            light,
            np.float32(width),
            metres,
            # A hull pushed back by half its width cannot win over the surface that it belongs to.
            np.float32(0.5 * width / scale),
            scale if perspective else 0.0,
            near,
            np.empty((3, 4), np.float32),
            vertices,
            box,
        )
        lens = Lens(0.0, 0.0, 0.0, 0.0)
        if perspective:
            mesh, vertices = projection.cut(mesh, vertices, near)
            shown = vertices.screen[:, 2]
            shown = shown[(shown >= near) & (shown < 1e6)]
            # Near the figure, the buffers' depths are metres.
            reference = float(shown.mean(dtype=np.float64)) if len(shown) else 1.0
            lens = Lens(scale, self.width * factor / 2, self.height * factor / 2, reference)
            projection.divide(vertices, lens, near, box)
        elif count:
            reach = width * mesh.outlines.max() + metres * mesh.outline_metres.max()
            box += np.array([-1, -1, 1, 1]) * max(width, reach)
        return mesh, vertices, lens, box

    def _region(self, box: np.ndarray) -> tuple[int, int, int, int] | None:
        """Output pixels (x0, y0, x1, y1) that the figure may touch, half-open; None if there are none."""
        if not np.isfinite(box).all():
            # No finite vertex at all gives inf; a figure with infinite parts may touch any pixel.
            if box[0] > box[2]:
                return None
            return 0, 0, self.width, self.height
        low = np.floor((box[:2] - 1) / self.supersample)
        high = np.ceil((box[2:] + 1) / self.supersample)
        size = np.array([self.width, self.height])
        low, high = np.clip(low, 0, size).astype(int), np.clip(high, 0, size).astype(int)
        return (*low.tolist(), *high.tolist()) if (low < high).all() else None

    def _draw(
        self, packed: Packed, vertices: Vertices, lens: Lens, region, outlined: bool, frame: Frame
    ) -> None:
        factor = self.supersample
        x0, y0, x1, y1 = (v * factor for v in region)
        self._depth[y0:y1, x0:x1] = np.inf
        self._ids[y0:y1, x0:x1] = 0
        mesh, surfaces, textures = packed.mesh, packed.surfaces, packed.textures
        if packed.has_layers:
            if self._heads.shape != self._ids.shape:
                self._heads = np.empty_like(self._ids)
            self._heads[y0:y1, x0:x1] = -1
        window = np.array([x0, y0, x1, y1], np.int64)
        passes = [(vertices.screen, False)] + ([(vertices.hull, True)] if outlined else [])

        def rasterise(is_layers: bool) -> int:
            used = 0
            for points, is_hull in passes:
                used = coverage.rasterise(
                    points,
                    mesh,
                    surfaces,
                    textures,
                    lens.reference,
                    window,
                    self._samples(),
                    is_hull,
                    is_layers,
                    used,
                )
            return used

        rasterise(False)
        most = _MAX_LAYERS * self._ids.size
        while packed.has_layers and (used := rasterise(True)) > len(self._pool_depths) < most:
            room = min(most, max(1 << 14, used + used // 2))
            self._pool_links = np.empty((room, 2), np.int32)
            self._pool_depths = np.empty(room, np.float32)
            self._heads[y0:y1, x0:x1] = -1
        count = len(mesh.triangles)
        if len(self._planes) < count:
            self._planes = np.empty((count, fragments.PLANES), np.float32)
        scratch = (
            self._planes,
            np.empty(count, np.bool_),
            np.empty((16, 4), np.float32),
            *(np.zeros(n, np.int64) - 1 for n in (16, 16, shading.MAX_SORTED, 16, 16)),
        )
        shading.shade(
            vertices,
            mesh,
            surfaces,
            textures,
            lens,
            np.array(region, np.int64),
            factor,
            self._samples(),
            packed.has_layers,
            scratch,
            (frame.image, frame.depth, frame.parts, frame.triangles),
        )

    def _samples(self) -> Samples:
        flat = (buffer.reshape(-1) for buffer in (self._depth, self._ids, self._heads))
        return Samples(self._depth.shape[1], *flat, self._pool_links, self._pool_depths)
