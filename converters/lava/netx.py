"""Runner of a netx file in Lava: ``python -m neurobip.converters.lava.netx FILE FOLDER``.

``FOLDER`` holds ``frames.npy``, event counts ``[samples, T, C, H, W]``. What layer ``i`` sends, the
first being 1, goes to ``FOLDER/i.npy``, ``[samples, T, size]`` in (C, H, W) order without the ``i``
steps by which it answers late, and the membranes of the last layer to ``FOLDER/v.npy`` likewise.

Importing this lets ``lava.lib.dl.netx`` be imported and run with a numpy and a torch of today. Like
:mod:`neurobip.converters.lava.run` it runs in a process of its own, since Lava forks.
"""

from __future__ import annotations

import functools
import sys
import traceback
import types
from pathlib import Path
from typing import Any

import h5py
import numpy as np

import neurobip.converters.lava.compat  # noqa: F401

# isort: split
from lava.magma.core.process.ports.ports import ReshapePort
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.io.sink import RingBuffer as Sink
from lava.proc.io.source import RingBuffer

from neurobip.converters.lava.run import leave, watched

# netx imports all of slayer, whose detection of objects needs torchvision.
DETECTION = "lava.lib.dl.slayer.object_detection"
sys.modules.setdefault(DETECTION, types.ModuleType(DETECTION))


def reshape(data: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """``numpy.reshape``, whose keyword ``newshape`` Lava uses and numpy 2.4 has no more."""
    return data.reshape(shape)


def forward(port: ReshapePort) -> Any:
    """What a port does to the data that it sends."""
    return functools.partial(reshape, shape=port.shape)


def backward(port: ReshapePort) -> Any:
    """What a port does to the data that comes back."""
    return functools.partial(reshape, shape=port.old_shape)


ReshapePort.get_transform_func_fwd = forward
ReshapePort.get_transform_func_bwd = backward


def network(file: str | Path, steps: int) -> Any:
    """The processes of a file that :func:`neurobip.converters.netx.write.write_netx` wrote.

    ``steps`` is how long a sample lasts, after which every layer is reset.
    """
    from lava.lib.dl.netx.hdf5 import Network

    with h5py.File(file, "r") as opened:
        bits = int(opened.attrs["input_message_bits"])
    # A layer gets its input one step late, and netx counts its offsets from the first one's.
    return Network(
        net_config=str(file), input_message_bits=bits, reset_interval=steps, reset_offset=1
    )


def run(file: Path, folder: Path) -> None:
    """Run all samples and write what every layer sent."""
    frames = np.load(folder / "frames.npy").astype(np.int32)
    samples, steps, *shape = frames.shape
    net = network(file, steps)
    total = samples * steps + len(net)
    flat = len(net.inp.shape) == 1
    data = frames.reshape(samples * steps, *((-1,) if flat else shape)).T  # time last
    # The source repeats its data from the start; zeros keep it silent while the layers answer.
    padded = np.concatenate([data, np.zeros((*data.shape[:-1], len(net)), data.dtype)], axis=-1)
    source = RingBuffer(data=padded)
    source.s_out.connect(net.inp)
    sinks = []
    for layer in net.layers:
        port = net.out if layer is net.out_layer else layer.out
        sinks.append(Sink(shape=port.shape, buffer=total))
        port.connect(sinks[-1].a_in)
    source.create_runtime(run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
    membranes = []
    with watched(source.runtime):
        for _ in range(total):
            source.run(condition=RunSteps(num_steps=1))
            membranes.append(net.out_layer.neuron.v.get())
    sent = [np.moveaxis(sink.data.get(), -1, 0) for sink in sinks]
    source.stop()
    sent.append(np.array(membranes))
    late = [*range(1, len(net) + 1), len(net)]
    names = [*map(str, late[:-1]), "v"]
    for name, first, values in zip(names, late, sent, strict=True):
        values = values[first : first + samples * steps]
        places = values.transpose(0, *range(values.ndim - 1, 0, -1))  # (W, H, C) in netx
        np.save(folder / f"{name}.npy", places.reshape(samples, steps, -1).astype(np.int32))


if __name__ == "__main__":
    try:
        run(Path(sys.argv[1]), Path(sys.argv[2]))
    except BaseException as error:
        traceback.print_exc()
        leave(f"{type(error).__name__}: {error}")
