"""Training with the Triton kernels in place: on a GPU if there is one, else in the interpreter."""

import pytest
import torch

from neurobip import BiTFormerConfig
from neurobip.config import LearnConfig
from neurobip.kernels import cuda, dispatch
from neurobip.learning.loop import build, build_rule

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

pytestmark = pytest.mark.skipif(not cuda.FOUND, reason="Triton is not installed")


def through(kernels, monkeypatch):
    """Let the package's calls be answered by these kernels, wherever the tensors are."""
    answer = lambda *tensors, fit=True: kernels if fit else None  # noqa: E731
    monkeypatch.setattr(dispatch, "compiled_kernels", answer)


RULES = {
    "online": LearnConfig(update="online", warmup_steps=1),
    "sequence": LearnConfig(update="sequence", warmup_steps=1),
    "bptt": LearnConfig(rule={"name": "bptt", "deep_supervision": True}, warmup_steps=1),
}


def rule_over_a_lively_network(learn, device):
    """A small network whose cells fire, and some of them twice."""
    config = BiTFormerConfig(sensor=(2, 12, 12), classes=3, width=8, hidden=12, depth=1, heads=2)
    model = build(config, learn, seed=0).to(device)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.fill_(0.3)
    return build_rule(model, learn, total_batches=2)


def events(device):
    generator = torch.Generator().manual_seed(0)
    frames = torch.poisson(torch.full((3, 2, 2, 12, 12), 0.4), generator=generator)
    return frames.to(device), torch.tensor([0, 2], device=device)


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
def test_training_with_these_kernels_is_training_on_the_cpu(rule, monkeypatch):
    def trained(device):
        rule_made = rule_over_a_lively_network(RULES[rule], device)
        for _ in range(2):  # readouts start silent: features learn from the second batch on
            result = rule_made.learn(*events(device))
        # The moments of the optimiser show gradients in their size, the weights hardly.
        tensors = rule_made.network.state_dict() | rule_made.state_dict()
        return result, {name: tensor.cpu().clone() for name, tensor in tensors.items()}

    expected, tensors = trained("cpu")
    moved = [name for name in tensors if name.endswith("exp_avg") and tensors[name].any()]
    assert any("qkv" in name for name in moved) and any("embed" in name for name in moved)
    through(cuda, monkeypatch)
    result, ours = trained(DEVICE)
    assert result.correct == expected.correct
    assert result.loss == pytest.approx(expected.loss, rel=1e-5)
    torch.testing.assert_close(ours, tensors, rtol=1e-3, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["online", "bptt"])
def test_products_in_half_precision_leave_the_rest_precise(rule, monkeypatch):
    frames, labels = events(DEVICE)
    through(cuda, monkeypatch)
    losses = {}
    for precision in ("fp32", "bf16"):
        rule_made = rule_over_a_lively_network(RULES[rule], DEVICE)
        # Set late, as half precision is refused on a CPU, which replaces a GPU here.
        rule_made.precision, rule_made.optimizer.lr = precision, 0.3
        losses[precision] = [rule_made.learn(frames, labels).loss for _ in range(2)]
        assert all(t.dtype is torch.float32 for t in rule_made.state_dict().values() if t.ndim)
        _, state = rule_made.in_precision(rule_made.network)(frames)
        embed = state["embed"].neuron
        assert embed.z.dtype is (torch.bfloat16 if precision == "bf16" else torch.float32)
        assert embed.v.dtype is torch.float32
    # Half precision is at work, and learns as well: were a rounded weight kept, nothing would.
    assert losses["bf16"] != losses["fp32"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.005)
    assert losses["bf16"][-1] < 0.99 * losses["bf16"][0]
