"""All choices that make a character, as plain data drawn from a seed.

Every choice has a random stream of its own, named like the field, so a new option leaves the others alone.
The body, face and hair depend on `seed`; the clothes on `(seed, costume)`.
"""

import dataclasses
import zlib

import numpy as np

from anime_pt.avatars.procedural import palette

Color = tuple[float, float, float]

HAIR_STYLES = (
    "short",
    "bob",
    "medium",
    "long",
    "hime",
    "twin_tails",
    "ponytail",
    "side_tail",
    "bun",
    "two_buns",
    "braid",
    "twin_drills",
    "spiky",
)
BANGS = ("straight", "zigzag", "parted", "swept", "between_eyes")
EYE_SHAPES = ("round", "almond", "sharp", "droopy")
MOUTHS = ("smile", "open", "small", "flat", "cat", "grin")
TOPS = (
    "tank",
    "t_shirt",
    "blouse",
    "sailor",
    "hoodie",
    "jacket",
    "coat",
    "kimono",
    "dress",
    "armor",
    "sweater",
)
BOTTOMS = ("pleated", "flared", "long_skirt", "shorts", "pants", "leggings")
SKIRTS = ("pleated", "flared", "long_skirt")
LEGWEAR = ("none", "ankle", "knee", "thigh", "tights")
SHOES = ("flats", "sneakers", "ankle_boots", "boots", "sandals", "loafers")
PATTERNS = ("plain", "stripes", "plaid", "dots", "checks", "hem_lines")
HEADGEAR = (
    "none",
    "cat_ears",
    "horns",
    "headphones",
    "hairband",
    "ribbon",
    "witch_hat",
    "beret",
    "cap",
    "crown",
    "flower",
    "halo",
)
# Hats press on the crown, so they go with hair that lies flat there.
HATS = ("witch_hat", "beret", "cap")
FLAT_HAIR = ("short", "bob", "medium", "long", "hime", "braid", "twin_drills", "twin_tails")
NECKWEAR = ("none", "bow", "tie", "scarf", "choker", "pendant")
BACK = ("none", "cape", "wings", "backpack")


@dataclasses.dataclass(frozen=True)
class Description:
    """A character in words and numbers; `build_from` turns it into a mesh. Colours are sRGB in [0, 1].

    Attributes:
      heads: total height in head heights, 2.5 (chibi) to 8.
      height: metres, without hair, hats and soles' extras.
      masculinity: 0 feminine, 1 masculine.
      weight: girth of trunk and limbs, around 1.
      sleeve: share of the arm that the sleeve covers, 0 to 1.
      hem: share of the leg that the skirt covers, 0 to 1.
    """

    seed: int
    costume: int
    heads: float
    height: float
    masculinity: float
    weight: float
    bust: float
    skin: Color
    # face
    eye_color: Color
    eye_shape: str
    eye_size: float
    brow_tilt: float
    mouth: str
    blush: float
    # hair
    hair: str
    bangs: str
    hair_length: float
    hair_volume: float
    hair_color: Color
    hair_tips: Color
    ahoge: bool
    side_locks: bool
    part_side: int
    # clothes
    top: str
    top_pattern: str
    sleeve: float
    bottom: str
    bottom_pattern: str
    hem: float
    legwear: str
    legwear_pattern: str
    shoes: str
    gloves: bool
    headgear: str
    neckwear: str
    back: str
    glasses: bool
    belt: bool
    top_color: Color
    bottom_color: Color
    trim_color: Color
    accent_color: Color
    legwear_color: Color
    shoe_color: Color


class _Draw:
    """Random choices by name: `draw.uniform("heads", 2, 8)` depends on nothing else that was drawn."""

    def __init__(self, *key: int):
        self.key = tuple(int(k) % 2**64 for k in key)  # NumPy takes no negative seeds

    def stream(self, name: str) -> np.random.Generator:
        return np.random.default_rng([*self.key, zlib.crc32(name.encode())])

    def uniform(self, name: str, low: float = 0.0, high: float = 1.0) -> float:
        return float(self.stream(name).uniform(low, high))

    def chance(self, name: str, p: float) -> bool:
        return bool(self.stream(name).random() < p)

    def choice(self, name: str, options, weights=None) -> str:
        p = None if weights is None else np.array(weights, float) / sum(weights)
        return options[int(self.stream(name).choice(len(options), p=p))]


def describe(seed: int, costume: int = 0) -> Description:
    """Draws a character; the same arguments give the same description everywhere."""
    body = _Draw(seed, 0)
    kind = body.choice("kind", ("chibi", "child", "teen", "adult"), (2.2, 2.4, 5, 2))
    low, high = {"chibi": (2.5, 3.6), "child": (4.0, 5.2), "teen": (5.2, 6.4), "adult": (6.4, 8.0)}[kind]
    heads = body.uniform("heads", low, high)
    height = 0.66 + 0.135 * heads + body.uniform("height", -0.06, 0.06)
    masculinity = body.choice("gender", (0.0, 0.5, 1.0), (6, 1.2, 2.8))
    masculine = masculinity > 0.7
    hair = body.choice(
        "hair", HAIR_STYLES, (6, 1, 1.5, 0.4, 0, 0, 1, 0, 0.3, 0, 0.4, 0, 4) if masculine
        else (1.2, 3, 3, 4, 2.5, 3.5, 2.5, 1.6, 1.4, 1.6, 1.8, 1.6, 0.7)
    )  # fmt: skip
    bangs = "straight" if hair == "hime" else body.choice("bangs", BANGS, (1.5, 4, 2, 2, 3))
    skin, hair_color, hair_tips, eye_color = palette.body_colors(body.stream("colors"))
    fixed = {
        "seed": seed,
        "costume": costume,
        "heads": heads,
        "height": height,
        "masculinity": masculinity,
        "weight": body.uniform("weight", 0.92, 1.1),
        "bust": 0.0
        if masculinity > 0.2
        else body.uniform("bust", 0.1, 0.9) * min(1.0, max(0.0, heads - 4.6)),
        "skin": skin,
        "eye_color": eye_color,
        "eye_shape": body.choice("eye_shape", EYE_SHAPES, (2, 3, 4, 1) if masculine else (4, 3, 1.5, 2)),
        "eye_size": body.uniform("eye_size", 0.92, 1.1) * (0.9 if masculine else 1.0),
        "brow_tilt": body.uniform("brow_tilt", -0.5, 1.0)
        if masculine
        else body.uniform("brow_tilt", -1, 0.6),
        "mouth": body.choice("mouth", MOUTHS, (4, 3, 2, 1.5, 1, 1)),
        "blush": body.uniform("blush", -0.3, 1.0) * (0.4 if masculine else 1.0),
        "hair": hair,
        "bangs": bangs,
        "hair_length": body.uniform("hair_length"),
        "hair_volume": body.uniform("hair_volume", 0.9, 1.15),
        "hair_color": hair_color,
        "hair_tips": hair_tips,
        "ahoge": body.chance("ahoge", 0.3),
        "side_locks": body.chance("side_locks", 0.3 if masculine else 0.7),
        "part_side": body.choice("part_side", (-1, 1)),
    }
    return Description(**fixed, **_clothes(_Draw(seed, 1, costume), fixed))


def _clothes(draw: _Draw, body: dict) -> dict:
    masculine = body["masculinity"] > 0.7
    top = draw.choice(
        "top", TOPS, (1, 3, 2, 0.2, 3, 3, 2, 1, 0, 1.5, 2) if masculine
        else (1.2, 2, 2.5, 3, 2, 1.5, 1.2, 1.2, 3, 0.7, 1.6)
    )  # fmt: skip
    skirts = (0, 0, 0, 2, 5, 0.3) if masculine else (4, 2.5, 1.2, 1.6, 1.3, 0.6)
    bottom = draw.choice("bottom", BOTTOMS, skirts)
    if top == "dress":
        bottom = draw.choice("dress", ("flared", "long_skirt"), (3, 1))
    elif top == "kimono":
        bottom = "long_skirt"
    hem = {
        "pleated": draw.uniform("hem", 0.24, 0.42),
        "flared": draw.uniform("hem", 0.28, 0.55),
        "long_skirt": draw.uniform("hem", 0.72, 0.9),
    }.get(bottom, 0.0)
    sleeves = {
        "tank": (0.0,),
        "t_shirt": (0.28, 0.42),
        "blouse": (0.3, 0.95),
        "sailor": (0.35, 0.97),
        "dress": (0.0, 0.25, 0.3, 0.95),
        "armor": (0.0, 0.97),
        "kimono": (0.9,),
    }
    legwear = draw.choice("legwear", LEGWEAR, (3, 2, 0.7, 0, 0) if masculine else (1.2, 2, 3, 3, 2))
    if bottom in ("pants", "leggings"):
        legwear = "none"
    if bottom == "leggings" and top in ("kimono", "dress"):
        legwear = "none"
    hats = body["hair"] in FLAT_HAIR and not body["ahoge"]
    headgear = draw.choice(
        "headgear",
        HEADGEAR,
        (7, 1.2, 0.8, 1, *((0, 0) if masculine else (1.2, 1.6)), *((0.8, 0.8, 1.2) if hats else (0, 0, 0)),
         0.4 if hats else 0, 0 if masculine else 1, 0.5),
    )  # fmt: skip
    neckwear = draw.choice(
        "neckwear", NECKWEAR, (5, 0.5, 2, 1.2, 0.6, 0.8) if masculine else (4, 3, 1, 1, 0.8, 0.8)
    )
    if top == "sailor":
        neckwear = draw.choice("sailor_neckwear", ("bow", "tie"), (3, 1))
    elif (
        (neckwear == "tie" and top not in ("blouse", "jacket"))
        or top in ("hoodie", "armor", "kimono")
        or (neckwear == "bow" and top in ("tank", "coat"))
    ):
        neckwear = "none"
    back = draw.choice("back", BACK, (12, 1.5, 1, 1))
    if body["hair"] in ("long", "hime", "braid") and back == "backpack":
        back = "none"
    bottom_pattern = draw.choice("bottom_pattern", PATTERNS, (5, 1, 2.5, 1, 0.7, 2.5))
    plain_top = top in ("sailor", "blouse", "armor", "hoodie", "coat")
    patterns = (6, 2.5, 0.8, 1, 0.6, 1)
    top_pattern = "plain" if plain_top else draw.choice("top_pattern", PATTERNS, patterns)
    return {
        "top": top,
        "top_pattern": top_pattern,
        "sleeve": draw.choice("sleeve", sleeves.get(top, (0.97,))),
        "bottom": bottom,
        "bottom_pattern": top_pattern if top == "kimono" else bottom_pattern,
        "hem": hem,
        "legwear": legwear,
        "legwear_pattern": draw.choice("legwear_pattern", ("plain", "stripes", "hem_lines"), (5, 1.5, 2)),
        "shoes": draw.choice("shoes", SHOES, (0.3, 4, 2, 1.5, 0.7, 3) if masculine else (3, 2, 2, 2.5, 1, 3)),
        "gloves": draw.chance("gloves", 0.15),
        "headgear": headgear,
        "neckwear": neckwear,
        "back": back,
        "glasses": draw.chance("glasses", 0.1),
        "belt": draw.chance("belt", 0.3),
        **palette.clothes_colors(draw.stream("colors"), body["skin"]),
    }
