"""The device mesh and what lies where on it.

Two axes: `data` splits the examples of a batch, `spatial` splits image rows within an example. XLA
exchanges the convolutions' halos, also through the double backward of a gradient penalty, and batch
statistics are those of the global batch, so the numbers are those of one device. Parameters are
replicated; above `fsdp_min_size` elements they are split over `data` (small convolutions must not be:
XLA would rematerialise them).
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Float, UInt8

DATA, SPATIAL = "data", "spatial"


def make_mesh(data: int = -1, spatial: int = 1, devices: list[jax.Device] | None = None) -> Mesh:
    """A ("data", "spatial") mesh; `data=-1` takes all devices that `spatial` leaves.

    Axes are Auto: in Explicit mode, JAX's default, convolutions refuse sharded operands.

    Raises:
      ValueError: the axes do not multiply to a number of devices that there is.
    """
    devices = jax.devices() if devices is None else devices
    count = len(devices)
    if spatial < 1 or (data != -1 and data < 1):
        raise ValueError(f"mesh axes must be positive (data may be -1); got data={data}, spatial={spatial}")
    if data == -1:
        if count % spatial:
            raise ValueError(
                f"mesh.spatial={spatial} does not divide the {count} devices; choose a divisor of {count}"
            )
        data = count // spatial
    if data * spatial > count:
        raise ValueError(f"mesh {data} x {spatial} needs {data * spatial} devices, but there are {count}")
    return Mesh(
        np.asarray(devices[: data * spatial]).reshape(data, spatial),
        (DATA, SPATIAL),
        axis_types=(AxisType.Auto, AxisType.Auto),
    )


def check_batch(mesh: Mesh, batch_size: int, where: str) -> None:
    """Raises ValueError, naming the sizes that would do, if a batch does not divide over `data`."""
    data = mesh.shape[DATA]
    if batch_size % data:
        low = batch_size // data * data
        sizes = " or ".join(str(s) for s in (low, low + data) if s)
        raise ValueError(
            f"{where}: batch_size={batch_size} does not divide over mesh.data={data} devices; "
            f"use a batch of {sizes}, or another mesh"
        )


def _image_spec(shape: tuple[int, ...], spatial: int) -> P:
    # Several pictures of each example have an axis of their own.
    between = (None,) * (len(shape) - 4)
    return P(DATA, *between, SPATIAL) if shape[-3] % spatial == 0 else P(DATA)


def batch_shardings(mesh: Mesh, batch: Any) -> Any:
    """Shardings of a batch: (b, h, w, c) and (b, n, h, w, c) arrays over data and rows, others over data."""

    def one(x):
        return NamedSharding(mesh, _image_spec(x.shape, mesh.shape[SPATIAL]) if x.ndim in (4, 5) else P(DATA))

    return jax.tree.map(one, batch)


def state_shardings(mesh: Mesh, abstract_state: Any, fsdp_min_size: int = 0) -> Any:
    """Shardings of a train state: replicated, or over `data` for arrays of `fsdp_min_size` and more.

    `fsdp_min_size=0` replicates everything. A large array is split along its longest axis that divides.
    """
    data = mesh.shape[DATA]

    def one(x):
        if not fsdp_min_size or x.size < fsdp_min_size:
            return NamedSharding(mesh, P())
        for axis in np.argsort(x.shape)[::-1]:
            if x.shape[axis] % data == 0:
                return NamedSharding(mesh, P(*(DATA if i == axis else None for i in range(x.ndim))))
        return NamedSharding(mesh, P())

    return jax.tree.map(one, abstract_state)


def replicated(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, P())


def constrain_images(x: Float[Array, "b *n h w c"]) -> Float[Array, "b *n h w c"]:
    """Asks for images over data and rows, inside a jitted step run under `jax.set_mesh`.

    Images that a step makes itself (fakes, pose maps) have no sharding of their own. Without a mesh this
    returns its argument.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty:
        return x
    return jax.lax.with_sharding_constraint(x, _image_spec(x.shape, mesh.shape[SPATIAL]))


def float_images(images: UInt8[Array, "b *n h w c"]) -> Float[Array, "b *n h w c"]:
    """Images of a batch as networks take them: [0, 255] to [-1, 1], where `constrain_images` wants them."""
    return constrain_images(images.astype(jnp.float32) / 127.5 - 1)


def put_batch(mesh: Mesh, batch: Any) -> Any:
    """Moves this process's examples (NumPy) to the devices, as one global batch."""
    shardings = batch_shardings(mesh, batch)
    return jax.tree.map(lambda s, x: jax.make_array_from_process_local_data(s, x), shardings, batch)
