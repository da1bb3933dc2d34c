"""Clothes: the body's own surfaces, a little larger, with openings, and what hangs from them."""

from anime_pt.avatars.procedural import accessories, bottoms, footwear, mesh, tops
from anime_pt.avatars.procedural.body import Body
from anime_pt.avatars.procedural.chains import Chains
from anime_pt.avatars.procedural.hair import Hair
from anime_pt.avatars.procedural.head import Head
from anime_pt.avatars.procedural.tailor import Tailor


def dress(builder: mesh.MeshBuilder, body: Body, head: Head, hair: Hair) -> list[Chains]:
    """Adds clothes, and the skin that they leave bare; returns the bones of what swings."""
    tailor = Tailor(builder, body, head, hair)
    tops.add(tailor)
    bottoms.add(tailor)
    footwear.add(tailor)
    accessories.add(tailor)
    return tailor.chains
