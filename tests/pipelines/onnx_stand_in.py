"""Networks in ONNX that find joints by their colours: what the detector is tested with, and no weights.

ONNX files are protocol buffers; the few messages that these networks need are written here (onnx.proto3).
"""

import numpy as np

_FLOAT, _INT64 = 1, 7
_SPREAD = np.array([58.395, 57.12, 57.375])
_MEAN = np.array([123.675, 116.28, 103.53])


def colours(count: int) -> np.ndarray:
    """(count, 3) uint8 in all directions from grey but that of black, which is about pictures."""
    i = np.arange(count) + 0.5
    z, turn = 1 - 0.9 * i / count, np.pi * (1 + 5**0.5) * i
    ring = np.sqrt(1 - z**2)
    # From axes about the third one to axes about white.
    axes = np.array([[1, -1, 0], [1, 1, -2], [1, 1, 1]]) / np.sqrt([[2], [6], [3]])
    directions = np.stack([ring * np.cos(turn), ring * np.sin(turn), z], 1) @ axes
    return np.round(127 + 120 * directions).astype(np.uint8)


def _varint(value: int) -> bytes:
    out = b""
    value &= (1 << 64) - 1
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def _field(number: int, value: int | bytes | str) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _tensor(name: str, values: np.ndarray) -> bytes:
    kind = _INT64 if values.dtype == np.int64 else _FLOAT
    data = values.astype("<i8" if kind == _INT64 else "<f4").tobytes()
    dims = b"".join(_field(1, d) for d in values.shape)
    return dims + _field(2, kind) + _field(8, name) + _field(9, data)


def _shaped(name: str, shape: tuple[int | str, ...]) -> bytes:
    dims = b"".join(_field(1, _field(1 if isinstance(d, int) else 2, d)) for d in shape)
    tensor = _field(1, _FLOAT) + _field(2, dims)
    return _field(1, name) + _field(2, _field(1, tensor))


def _node(kind: str, inputs: list[str], output: str, **attributes: int | list[int]) -> bytes:
    out = b"".join(_field(1, name) for name in inputs) + _field(2, output) + _field(4, kind)
    for name, value in attributes.items():
        if isinstance(value, int):
            body = _field(1, name) + _field(3, value) + _field(20, 2)
        else:
            body = _field(1, name) + b"".join(_field(8, v) for v in value) + _field(20, 7)
        out += _field(5, body)
    return out


def _model(nodes, constants, inputs, outputs) -> bytes:
    graph = b"".join(_field(1, n) for n in nodes) + _field(2, "stand-in")
    graph += b"".join(_field(5, _tensor(name, v)) for name, v in constants.items())
    graph += b"".join(_field(11, _shaped(*i)) for i in inputs) + b"".join(
        _field(12, _shaped(*o)) for o in outputs
    )
    return _field(1, 8) + _field(8, _field(1, "") + _field(2, 17)) + _field(7, graph)


def _filters(count: int) -> tuple[np.ndarray, np.ndarray]:
    """(k, 3, 1, 1) weights and (k,) biases of maps: 1 on a joint's colour, at most 0 on the others'.

    Of pictures in RGB, normalised as RTMPose's.
    """
    towards = (colours(count).astype(float) - 127) / 120
    likeness = towards @ towards.T / np.square(towards).sum(1)[:, None]
    most = (likeness - 2 * np.eye(count)).max(1)
    towards /= (np.square(towards).sum(1) * (1 - most))[:, None]
    biases = (towards * (_MEAN - 127) / 120).sum(1) - most / (1 - most)
    return (towards * _SPREAD / 120)[..., None, None], biases


def simcc(count: int, size: tuple[int, int], batch: int | str = "n") -> bytes:
    """As RTMPose: the largest value of a joint's blurred map in each column and each row, twice as fine."""
    h, w = size
    weights, biases = _filters(count)
    line = np.exp(-np.square(np.arange(-4, 5)) / 4)
    blur = np.tile((line[:, None] * line / line.sum() ** 2), (count, 1, 1, 1))
    constants = {"weights": weights, "biases": biases, "blur": blur, "last": np.array([3])}
    constants |= {"x_shape": np.array([0, count, 2 * w]), "y_shape": np.array([0, count, 2 * h])}
    nodes = [
        _node("Conv", ["input", "weights", "biases"], "maps"),
        _node("Relu", ["maps"], "spots"),
        _node("Conv", ["spots", "blur"], "bumps", group=count, pads=[4, 4, 4, 4]),
    ]
    for axis, other in (("x", 2), ("y", 3)):
        nodes += [
            _node("ReduceMax", ["bumps"], f"{axis}_line", axes=[other], keepdims=0),
            _node("Unsqueeze", [f"{axis}_line", "last"], f"{axis}_column"),
            _node("Concat", [f"{axis}_column"] * 2, f"{axis}_pairs", axis=3),
            _node("Reshape", [f"{axis}_pairs", f"{axis}_shape"], f"simcc_{axis}"),
        ]
    outputs = [("simcc_x", (batch, count, 2 * w)), ("simcc_y", (batch, count, 2 * h))]
    return _model(nodes, constants, [("input", (batch, 3, h, w))], outputs)


def fixed(size: tuple[int, int], **outputs: np.ndarray) -> bytes:
    """A network that answers the same to every picture: boxes, or boxes and joints."""
    constants = {f"{name}_is": value.astype(np.float32) for name, value in outputs.items()}
    # What is constant is taken out of the graph unless the input has a part in it.
    constants |= {"nothing": np.zeros((1, 3, 1, 1), np.float32)}
    nodes = [
        _node("Mul", ["input", "nothing"], "zeros"),
        _node("ReduceMax", ["zeros"], "zero", axes=[0, 1, 2, 3], keepdims=0),
        *(_node("Add", [f"{name}_is", "zero"], name) for name in outputs),
    ]
    shapes = [(name, value.shape) for name, value in outputs.items()]
    return _model(nodes, constants, [("input", (1, 3, *size))], shapes)


def figure(places: np.ndarray, size: tuple[int, int], radius: int = 4) -> np.ndarray:
    """A grey picture (h, w, 3) with a square of its colour at each joint (k, 2)."""
    image = np.full((*size, 3), 127, np.uint8)
    for (x, y), colour in zip(places.astype(int), colours(len(places)), strict=True):
        image[max(y - radius, 0) : y + radius + 1, max(x - radius, 0) : x + radius + 1] = colour
    return image
