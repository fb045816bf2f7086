"""Many devices: a mesh of lanes by data, and what is placed where on it.

Lanes share nothing, so a shard of lanes is trained by one row of the mesh, its `Place`, with a program of its
own: on one device, the bits are those of that device alone. Along the other axis a place has several
devices, which share the rows of each batch: the state and the data are on each of them, a batch is divided
among them, and XLA's partitioner (GSPMD) inserts the sums over devices that the program for one device
implies. So batch norm has the statistics of the whole batch, and random numbers are those of the row,
because JAX's keys give every element of an array its own (`jax_threefry_partitionable`). Only the order of
summation differs.

Reference: Xu et al., GSPMD: General and Scalable Parallelization for ML Computation Graphs, 2021.
"""

import contextlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Self

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from thalweg.core import keys
from thalweg.core.caller import argument, option, setting
from thalweg.core.device import backend, on_cpu
from thalweg.core.errors import BadInput

LANES, DATA = "lanes", "data"
EVERY = "all"
_ON_CPU = "; a CPU is one device, unless XLA is told to divide it (docs/cluster.md)"
_AXIS = re.compile(rf"({LANES}|{DATA}):(\d{{1,6}})")


@dataclass(frozen=True)
class Devices:
    """How many devices a run trains on, and how they share the work.

    Args:
        lanes: Devices that share the lanes of a sweep; each shard of lanes is on one of them.
        data: Devices that share the rows of each batch.
    """

    lanes: int = 1
    data: int = 1

    @classmethod
    def parse(cls, given: "Devices | Mapping[str, int] | int | str", many: bool) -> Self:
        """Read a number of devices, `all` of them, or what each axis has: `lanes:2,data:4`.

        A number alone is shared as the run allows it: by the lanes of a sweep, by the rows of a single run.

        Args:
            given: What was asked for.
            many: Whether several lanes train.

        Raises:
            BadInput: It is none of these, or there are fewer devices.
        """
        if isinstance(given, Devices):
            axes = asdict(given)
        elif isinstance(given, Mapping):
            axes = dict(given)
        elif given == EVERY or re.fullmatch(r"\d{1,6}", str(given)):
            axes = {LANES if many else DATA: len(_devices()) if given == EVERY else int(given)}
        else:
            found = [_AXIS.fullmatch(word.strip()) for word in str(given).split(",")]
            axes = {match[1]: int(match[2]) for match in found if match is not None}
            if len(axes) < len(found):
                raise _wrong("must be a number of devices, all, or what each axis has", given)
        if not axes.keys() <= {LANES, DATA} or not all(type(n) is int and n > 0 for n in axes.values()):
            raise _wrong("must have at least one device along lanes and data", given)
        parsed = cls(**axes)
        if not many and parsed.lanes > 1:
            hint = f"share the batch: {option('devices', f'data:{parsed.lanes}')}"
            raise BadInput(argument("devices"), "a single run has no lanes to share", got=given, hint=hint)
        if many and jax.process_count() > 1:
            rule, hint = "are shared by processes for one run, not for lanes", "give a sweep to an executor"
            raise BadInput(argument("devices"), rule, got=given, hint=hint)
        parsed.check_there()
        return parsed

    def check_there(self) -> None:
        """Refuse more devices than there are; with many processes, some of which there are none.

        Raises:
            BadInput: There are fewer, or a process would have nothing to do.
        """
        devices = _devices()
        found = len(devices)
        if len({device.process_index for device in devices[: self.count]}) < jax.process_count():
            rule, hint = "must be of all processes that train together", f"use {option('devices', EVERY)}"
            raise BadInput(argument("devices"), rule, got=str(self), hint=hint)
        if self.count > found:
            rule = f"must be at most the devices that JAX finds: {found}"
            hint = f"use fewer: {option('devices', found)}" + (_ON_CPU if on_cpu() else "")
            raise BadInput(argument("devices"), rule, got=str(self), where=backend(), hint=hint)

    @property
    def count(self) -> int:
        """Devices in use."""
        return self.lanes * self.data

    def places(self) -> "list[Place]":
        """Return the rows of the mesh.

        Raises:
            BadInput: There are fewer devices.
        """
        self.check_there()
        mesh = Mesh(np.array(_devices()[: self.count]).reshape(self.lanes, self.data), (LANES, DATA))
        return [Place(Mesh(row, (DATA,)) if self.data > 1 else None, _mine(row)) for row in mesh.devices]

    def __str__(self) -> str:
        return f"{LANES}:{self.lanes},{DATA}:{self.data}"

    def to_dict(self) -> dict[str, int]:
        """Return plain values, as in run.json."""
        return asdict(self)

    def check_batch(self, batch_size: int, accumulate: int = 1) -> None:
        """Refuse a batch whose rows, or those of its microbatches, the devices cannot share evenly.

        Raises:
            BadInput: They cannot.
        """
        parts = self.data * accumulate
        if self.data > 1 and batch_size % parts:
            most, of = max(1, batch_size // parts) * parts, f"{self.data} devices"
            rule = "batch_size must be a multiple of the devices that share its rows"
            if accumulate > 1:
                rule, of = rule + ", times accumulate", f"{of}, {accumulate} microbatches"
            raise BadInput(
                argument("devices"), rule, got=batch_size, where=of, hint=f"try {setting('batch_size', most)}"
            )


@dataclass(frozen=True)
class Place:
    """Where a shard of lanes trains.

    Args:
        mesh: Of several devices, along `data`; None for one.
        device: That device, or the first of them that belongs to this process.
    """

    mesh: Mesh | None
    device: Any

    @contextmanager
    def active(self) -> Iterator[None]:
        """Put new arrays here, inside of this block and in this thread."""
        with jax.default_device(self.device):
            yield


def here(place: Place | None) -> contextlib.AbstractContextManager[None]:
    """Return the block in which work goes to a place; None leaves it to JAX."""
    return contextlib.nullcontext() if place is None else place.active()


def on_each(mesh: Mesh | None, tree: PyTree) -> PyTree:
    """Return the tree with every array on each device of a mesh; unchanged without one.

    What is there already is not moved. In a mesh of many processes, each puts its own copy on its devices:
    all of them have computed the same values.
    """
    if mesh is None:
        return tree
    everywhere = NamedSharding(mesh, PartitionSpec())

    def placed(leaf: Any) -> Any:
        if isinstance(leaf, jax.Array) and leaf.sharding.is_equivalent_to(everywhere, leaf.ndim):
            return leaf
        if not mesh.is_multi_process:
            return jax.device_put(leaf, everywhere)
        value = np.asarray(keys.plain(leaf))
        copies = jax.make_array_from_callback(value.shape, everywhere, lambda index: value[index])
        return keys.as_before(copies, leaf)

    return jax.tree.map(placed, tree)


def share_rows(mesh: Mesh | None, tree: PyTree, axis: int = 0) -> PyTree:
    """Divide an axis of rows of every array among the devices of a mesh, within a compiled program.

    Rows that cannot be divided evenly are left to the compiler; without a mesh the program is unchanged.
    """
    if mesh is None:
        return tree
    rows = NamedSharding(mesh, PartitionSpec(*[None] * axis, DATA))

    def shared(leaf: Any) -> Any:
        return leaf if leaf.shape[axis] % mesh.size else jax.lax.with_sharding_constraint(leaf, rows)

    return jax.tree.map(shared, tree)


def kept_on_each(mesh: Mesh | None, tree: PyTree) -> PyTree:
    """Have every array of a compiled program whole on each device of a mesh; unchanged without one."""
    if mesh is None:
        return tree
    return jax.lax.with_sharding_constraint(tree, NamedSharding(mesh, PartitionSpec()))


def _devices() -> list[Any]:
    """Return the devices of all processes, in an order that is the same in each."""
    return jax.devices(backend())


def _mine(row: np.ndarray) -> Any:
    own = [device for device in row if device.process_index == jax.process_index()]
    return own[0] if own else jax.local_devices(backend=backend())[0]


def _wrong(rule: str, given: object) -> BadInput:
    hint = f"for example {option('devices', 4)} or {option('devices', 'lanes:2,data:4')}"
    return BadInput(argument("devices"), rule, got=given, hint=hint)
