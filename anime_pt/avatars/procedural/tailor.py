"""What all makers of clothes share: where to put patches, and how cloth is coloured."""

from anime_pt.avatars.procedural import mesh, textures
from anime_pt.avatars.procedural.body import Body
from anime_pt.avatars.procedural.chains import Chains
from anime_pt.avatars.procedural.hair import Hair
from anime_pt.avatars.procedural.head import Head
from anime_pt.avatars.procedural.palette import Color, mix


class Tailor:
    """Shared state while one character is dressed.

    Attributes:
      builder: receives patches and materials.
      chains: bones of what swings.
      leg_cover: knot of the legs' tubes down to which the bottom covers them.
    """

    def __init__(self, builder: mesh.MeshBuilder, body: Body, head: Head, hair: Hair):
        self.builder, self.body, self.head, self.hair = builder, body, head, hair
        self.d = body.d
        self.chains: list[Chains] = []
        self.leg_cover = body.leg.knots[0]

    def cloth(self, name: str, part: str, color: Color, texture=None, **fields) -> str:
        """A cloth material; with a texture the colour is already in it."""
        return self.builder.material(
            name,
            part=part,
            texture=texture,
            color=(1.0, 1.0, 1.0, 1.0) if texture is not None else (*color, 1.0),
            ramp=textures.ramp("cloth"),
            outline_color=textures.outline(color),
            **fields,
        )

    def lining(self, name: str, part: str, color: Color) -> str:
        """The darker inside of a cloth."""
        return self.cloth(name + "_lining", part, mix(color, (0.16, 0.12, 0.24), 0.45))
