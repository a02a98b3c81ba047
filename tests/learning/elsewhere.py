"""Learn on a device of which there is no other: what is made in the wrong place shows.

Fake tensors know a shape and a device and refuse what torch would refuse on a GPU: to compute with
tensors of two devices. They hold no numbers, so that each piece of work ends where a number would
leave the device. Prints a line for each.
"""

from collections.abc import Callable

import torch
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from neurobip.config import LearnConfig
from neurobip.evaluation import accuracy
from neurobip.evaluation.activity import record
from neurobip.kernels import cuda, dispatch
from neurobip.learning.homeostasis import calibrate
from neurobip.learning.loop import build, build_rule, fit
from neurobip.learning.rule import Rule
from neurobip.learning.targets import Targets
from neurobip.models import BiTFormer, BiTFormerConfig

_setup_privateuseone_for_python_backend("elsewhere")

RULES = {
    "online": LearnConfig(),
    "sequence": LearnConfig(update="sequence"),
    "kolen pollack": LearnConfig(
        rule={"name": "local", "feedback": "kolen_pollack"}, weight_decay=0.1
    ),
    "through time": LearnConfig(rule="bptt"),
}


def model_there(learn: LearnConfig, **settings: object) -> BiTFormer:
    """A small network elsewhere; ``Module.to`` does not move what is fake."""
    config = BiTFormerConfig(
        sensor=(2, 12, 12), classes=3, width=8, hidden=12, depth=1, heads=2, **settings
    )
    model = build(config, learn, seed=0)
    for part in model.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None:
                part._parameters[name] = nn.Parameter(parameter.detach().to("elsewhere"))
        for name, buffer in part._buffers.items():
            part._buffers[name] = buffer.to("elsewhere")
    return model


def learned(what: str, learn: LearnConfig, **settings: object) -> Rule:
    """Learn from a batch to the end, where loss and hits leave the device as numbers."""
    rule = build_rule(model_there(learn, **settings), learn, total_batches=2)
    report(what, lambda: rule.learn(there, answers))
    moved = [tensor for name, tensor in rule.state_dict().items() if name.endswith(":exp_avg")]
    assert len(moved) == len(rule.plastic)
    return rule


def report(what: str, work: Callable[[], object]) -> None:
    """Do some work, and say how it ended: as it should, or by what exception."""
    try:
        work()
        end = "done"
    except DataDependentOutputException:
        end = "done"
    except Exception as error:
        end = f"{type(error).__name__} {error}".splitlines()[0]
    print(what, end, sep=": ", flush=True)


def launch_nothing() -> None:
    """Let the functions for the GPU answer, as far as the launch of their kernels."""
    from neurobip.kernels import triton_memory, triton_neurons, triton_retina, triton_traces

    for module in (triton_neurons, triton_retina, triton_traces):
        module.launch = lambda *arguments, **constants: None
    triton_memory._by_head = lambda *arguments: None
    dispatch.compiled_kernels = lambda *tensors, fit=True: cuda if fit else None


def look_at_no_label(targets: Targets, classes: int) -> None:
    """The check of labels reads them as numbers, of which there are none here."""
    targets.fit = True


if __name__ == "__main__":
    Targets.check_classes = look_at_no_label
    with FakeTensorMode(allow_non_fake_inputs=False):
        frames = torch.zeros(3, 2, 2, 12, 12, dtype=torch.uint8)
        labels = torch.zeros(2, dtype=torch.long)
        there, answers = frames.to("elsewhere"), labels.to("elsewhere")
        batches = [(frames, labels)]
        for name, learn in RULES.items():
            rule = learned(name, learn)
        for attention in ("masked", "query-key", "none"):
            rule = learned(attention, LearnConfig(), attention=attention)
        rule = learned("top down", LearnConfig(), top_down=2)
        kept = {name: tensor.cpu() for name, tensor in rule.state_dict().items()}
        rule.load_state_dict(kept | {"batches": 1})
        report("resumed", lambda: rule.learn(there, answers))
        # The optimiser is one operation on many tensors, whose devices are not compared.
        moments = [tensor for name, tensor in rule.state_dict().items() if ":" in name]
        assert {tensor.device.type for tensor in moments} == {"elsewhere"}
        report("fit", lambda: fit(rule, lambda epoch: batches, lambda: batches, epochs=1))
        report("accuracy", lambda: accuracy(rule.network, batches))
        report("calibration", lambda: calibrate(rule.network, there))
        report("activity", lambda: record(rule.network, there))
        # Had nothing been refused so far, it might be that nothing is.
        report("on two devices", lambda: rule.learn(frames, labels))
        if cuda.FOUND:
            launch_nothing()
            for name in ("online", "through time"):
                learned(f"{name}, by the functions for the GPU", RULES[name])
