"""Writes VMD files byte by byte, with the oddities that real ones have."""

import struct

import numpy as np

from anime_pt.avatars.formats import vmd

HEADER = b"Vocaloid Motion Data 0002".ljust(30, b"\0")
LINEAR = bytes([20] * 8 + [107] * 8) * 4


def name(text: str | bytes, size: int) -> bytes:
    raw = text.encode("cp932") if isinstance(text, str) else text
    return raw[:size] + b"\0\xfd\xfd"[: size - len(raw[:size])].ljust(size - len(raw[:size]), b"\xfd")


def bone(text, frame: int, position=(0, 0, 0), rotation=(0, 0, 0, 1), curve: bytes = LINEAR) -> bytes:
    return name(text, 15) + struct.pack("<I7f", frame, *position, *rotation) + curve


def morph(text, frame: int, weight: float) -> bytes:
    return name(text, 15) + struct.pack("<If", frame, weight)


def camera(frame: int) -> bytes:
    numbers = struct.pack("<I7f", frame, -45.0, 1, 2, 3, 0.1, 0.2, 0.3)
    return numbers + bytes(range(24)) + struct.pack("<IB", 30, 1)


def switch(frame: int, visible: bool, iks: dict) -> bytes:
    rows = b"".join(name(k, 20) + bytes([v]) for k, v in iks.items())
    return struct.pack("<IBI", frame, visible, len(iks)) + rows


def section(rows: list[bytes]) -> bytes:
    return struct.pack("<I", len(rows)) + b"".join(rows)


def full() -> bytes:
    """Every section, keys out of order, one frame twice, a name cut in the middle of a character."""
    odd = np.zeros(64, np.uint8)
    bones = [
        bone("センター", 20, (0, -2, 1), (0, 0, 0.6, 0.8), bytes(odd)),
        bone("センター", 0),
        bone("センター", 10, (1, 2, 3), (0, 0, 0, 0)),
        bone("センター", 10, (4, 5, 6), (0, 0, 0, 2)),
        # 16 bytes: the eighth character is cut in two.
        bone("左スカート前後先", 5, (0, 0, 1)),
        bone("左足ＩＫ", 0, curve=bytes([20, 20, 0x63, 0x0F]) + LINEAR[4:]),
    ]
    return (
        HEADER
        + name("モデル", 20)
        + b"".join(
            [
                section(bones),
                section([morph("あ", 8, 0.5), morph("あ", 2, 1.0)]),
                section([camera(3), camera(1)]),
                section([struct.pack("<I6f", 4, 0.6, 0.6, 0.6, -0.5, -1, 0.5)]),
                section([struct.pack("<IBf", 0, 1, 0.05)]),
                section([switch(7, True, {"左足ＩＫ": 1}), switch(0, False, {"左足ＩＫ": 0, "右足ＩＫ": 1})]),
            ]
        )
    )


def assert_same(a: vmd.VmdFile, b: vmd.VmdFile) -> None:
    """Asserts that two files hold the same keys."""
    assert (a.model_name, a.switches) == (b.model_name, b.switches)
    assert list(a.bones) == list(b.bones) and list(a.morphs) == list(b.morphs)
    pairs = [(a.bones[n], b.bones[n]) for n in a.bones] + [(a.morphs[n], b.morphs[n]) for n in a.morphs]
    for x, y in [*pairs, (a.camera, b.camera), (a.lights, b.lights), (a.shadows, b.shadows)]:
        for name, values in vars(x).items():
            np.testing.assert_allclose(
                values.astype(float), getattr(y, name).astype(float), atol=1e-6, err_msg=name
            )
