"""Pictures of characters on the CPU: toon shading, outlines, translucency, RGBA with straight alpha.

The picture is made in four compiled steps, single-threaded so that equal inputs give equal bytes:
skin the vertices to pixels; z-buffer the opaque triangles, then the inverted hull (back faces of the mesh
swollen along its normals, which is what draws outlines) at `supersample` times the resolution; collect
translucent fragments in a list per sample; shade. Shading runs once per pixel and triangle, as in
hardware multisampling, with mipmapped textures and a box-filtered ramp, so that the samples only pay for
edges. Light and colour follow MikuMikuDance: texture times material colour, times or plus a sphere map
looked up by the view-space normal, times a toon ramp looked up by n.l.

Surfaces with alpha are split per texel: opaque texels go through the z-buffer, the others are sorted
back to front per sample, and where depths tie, by the file's drawing order.
"""

import dataclasses

import numpy as np

from anime_pt.avatars import raster_kernels, rig
from anime_pt.avatars.camera import Camera
from anime_pt.avatars.character import Character
from anime_pt.avatars.packing import Packed, pack

# Towards the light in view space: x right, y up, z towards the viewer.
LIGHT = (0.35, 0.55, 0.75)
# Fragments of translucent surfaces that are kept, as a multiple of the number of samples.
_MAX_LAYERS = 12


@dataclasses.dataclass(frozen=True)
class Frame:
    """A rendered picture.

    Attributes:
      image: (h, w, 4) uint8, sRGB with straight alpha; empty pixels are (255, 255, 255, 0).
      depth: (h, w) float32 metres along the view, larger is farther, inf where empty.
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

    def render(
        self,
        character: Character,
        globals_: np.ndarray,
        camera: Camera,
        outline: float = 1.0,
        light: tuple[float, float, float] = LIGHT,
    ) -> Frame:
        """Draws a posed character.

        Args:
          character: what to draw.
          globals_: (b, 4, 4) transforms of its bones from `rig.pose`.
          camera: of the same size as the renderer.
          outline: width of outlines in pixels of a 512-pixel image. It grows with the image, so that
            pictures of different sizes look alike, but does not shrink below 3/4 of its value, where lines
            would break into dots. 0 draws none.
          light: direction towards the light in view space (x right, y up, z towards the viewer).

        Raises:
          ValueError: if camera and renderer differ in size.
        """
        if (camera.height, camera.width) != (self.height, self.width):
            raise ValueError(
                f"camera is for {camera.height}x{camera.width}, renderer for {self.height}x{self.width}"
            )
        packed = pack(character)
        factor = self.supersample
        view = camera.matrix * np.array([[factor], [factor], [1.0]])
        matrices = np.empty((len(globals_), 3, 4), np.float32)
        changes = rig.skinning_matrices(character, globals_)
        matrices[..., :] = view[:, :3] @ changes
        matrices[..., 3] += view[:, 3]
        direction = np.asarray(light, np.float64)
        direction = (direction / max(np.linalg.norm(direction), 1e-9)).astype(np.float32)
        scale = camera.scale * factor
        width = float(outline) * max(0.75, min(self.height, self.width) / 512) * factor
        count = len(packed.positions)
        screen, hull, shading = (np.empty((count, 3), np.float32) for _ in range(3))
        box = np.empty(4)
        raster_kernels.project(
            packed.positions,
            packed.normals,
            packed.hull_normals,
            packed.outline_scale,
            packed.joints,
            packed.weights,
            packed.counts,
            matrices,
            np.float32(1 / scale),
            direction,
            np.float32(width),
            # A hull pushed back by half its width cannot win over the surface that it belongs to.
            np.float32(0.5 * width / scale),
            np.empty((3, 4), np.float32),
            screen,
            hull,
            shading,
            box,
        )
        image = np.empty((self.height, self.width, 4), np.uint8)
        image.view(np.uint32)[:] = np.frombuffer(b"\xff\xff\xff\x00", np.uint32)[0]
        depth = np.full((self.height, self.width), np.inf, np.float32)
        parts = np.zeros((self.height, self.width), np.uint8)
        triangles = np.full((self.height, self.width), -1, np.int32)
        frame = Frame(image, depth, parts, triangles)
        region = self._region(box, width)
        if region is None or not len(packed.triangles):
            return frame
        self._draw(packed, screen, hull, shading, region, width > 0, frame)
        return frame

    def _region(self, box: np.ndarray, width: float) -> tuple[int, int, int, int] | None:
        """Output pixels (x0, y0, x1, y1) that the figure may touch, half-open; None if there are none."""
        if not np.isfinite(box).all():
            # No finite vertex at all gives inf; a figure with infinite parts may touch any pixel.
            if box[0] > box[2]:
                return None
            return 0, 0, self.width, self.height
        low = np.floor((box[:2] - width - 1) / self.supersample)
        high = np.ceil((box[2:] + width + 1) / self.supersample)
        size = np.array([self.width, self.height])
        low, high = np.clip(low, 0, size).astype(int), np.clip(high, 0, size).astype(int)
        return (*low.tolist(), *high.tolist()) if (low < high).all() else None

    def _draw(self, packed: Packed, screen, hull, shading, region, outlined: bool, frame: Frame) -> None:
        factor = self.supersample
        x0, y0, x1, y1 = (v * factor for v in region)
        self._depth[y0:y1, x0:x1] = np.inf
        self._ids[y0:y1, x0:x1] = 0
        geometry = (packed.triangles, packed.starts, packed.uvs, packed.uv_areas)
        surfaces = (packed.modes, packed.double_sided, packed.cutoffs, packed.colors, packed.hull_alphas)
        textures = (
            packed.texels,
            packed.texture_levels,
            packed.texture_offsets,
            packed.texture_widths,
            packed.texture_heights,
        )
        window = np.array([x0, y0, x1, y1], np.int64)
        has_layers = packed.has_layers
        if has_layers and self._heads.shape != self._ids.shape:
            self._heads = np.empty_like(self._ids)
        if has_layers:
            self._heads[y0:y1, x0:x1] = -1
        buffers = lambda: (
            self._depth.shape[1],
            self._depth.reshape(-1),
            self._ids.reshape(-1),
            self._heads.reshape(-1),
            self._pool_links,
            self._pool_depths,
        )
        passes = [(screen, False)] + ([(hull, True)] if outlined else [])
        for vertices, is_hull in passes:
            raster_kernels.rasterise(
                vertices, *geometry, *surfaces, *textures, window, *buffers(), is_hull, False, 0
            )
        if has_layers:
            most = _MAX_LAYERS * self._ids.size
            while True:
                used = 0
                for vertices, is_hull in passes:
                    used = raster_kernels.rasterise(
                        vertices, *geometry, *surfaces, *textures, window, *buffers(), is_hull, True, used
                    )
                if used <= len(self._pool_depths) or len(self._pool_depths) >= most:
                    break
                room = min(most, max(1 << 14, used + used // 2))
                self._pool_links = np.empty((room, 2), np.int32)
                self._pool_depths = np.empty(room, np.float32)
                self._heads[y0:y1, x0:x1] = -1
        raster_kernels.shade(
            screen,
            shading,
            packed.triangles,
            packed.triangle_materials,
            packed.sources,
            packed.uvs,
            packed.uv_areas,
            packed.colors,
            packed.hull_colors,
            packed.modes,
            packed.ramps,
            packed.sphere_modes,
            packed.parts,
            *textures,
            np.array(region, np.int64),
            factor,
            *buffers(),
            has_layers,
            np.empty((len(packed.triangles), raster_kernels.PLANES), np.float32),
            np.empty(len(packed.triangles), np.bool_),
            np.empty((16, 4), np.float32),
            *(np.zeros(n, np.int64) - 1 for n in (16, 16, raster_kernels.MAX_SORTED, 16, 16)),
            frame.image,
            frame.depth,
            frame.parts,
            frame.triangles,
        )
