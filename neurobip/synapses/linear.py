"""The fully connected synapse, applied to every token alike."""

from typing import Any

import torch
from torch import Tensor, nn

from neurobip.errors import ConfigError
from neurobip.synapses.synapse import Synapse, SynapseState


class Linear(Synapse):
    """Current ``x @ weight.T``.

    Args:
        inputs, outputs: size of the last axis of input and current.
        scale: standard deviation of the initial weights times ``sqrt(inputs)``; 0 starts silent.
        decay_trace: see :class:`~neurobip.synapses.synapse.Synapse`.

    Shape:
        x: ``[B, ..., inputs]``; current ``[B, ..., outputs]``; weight ``[outputs, inputs]``.

    Errors go back through the present weights, or through feedback that needs no copy of them, see
    :meth:`learn_feedback`, :meth:`randomize_feedback` and :meth:`sign_feedback`.
    """

    def __init__(
        self, inputs: int, outputs: int, *, scale: float = 1.0, decay_trace: float | None = None
    ) -> None:
        super().__init__(decay_trace)
        if inputs < 1 or outputs < 1:
            raise ConfigError(
                f"{type(self).__name__}: {inputs} inputs and {outputs} outputs; expected 1 or more"
            )
        self.population_size = outputs
        self.weight = nn.Parameter(torch.randn(outputs, inputs) * (scale / inputs**0.5))
        self.register_parameter("feedback", None)
        self.signed = False

    def learn_feedback(self, scale: float = 0.2) -> None:
        """Send errors through a feedback matrix that starts at random and learns.

        It learns by the same local product as the weights, so that both become alike (Kolen &
        Pollack 1994; Akrout et al. 2019, "Deep learning without weight transport").
        """
        outputs, inputs = self.weight.shape
        self.feedback = nn.Parameter(torch.randn(outputs, inputs) * (scale / inputs**0.5))

    def randomize_feedback(self, scale: float = 0.2) -> None:
        """Send errors through a fixed random feedback matrix.

        Source: Lillicrap et al. 2016, "Random synaptic feedback weights support error
        backpropagation for deep learning".
        """
        self.learn_feedback(scale)
        assert self.feedback is not None
        self.feedback.requires_grad_(False)

    def sign_feedback(self) -> None:
        """Send errors through the signs of the weights, times their mean size.

        Source: Liao et al. 2016, "How important is weight symmetry in backpropagation?".
        """
        self.signed = True

    def current(self, x: Tensor) -> Tensor:
        """The weighted sum of the inputs."""
        return nn.functional.linear(x, self.weight)

    def incoming(self, pre_trace: Tensor) -> Tensor:
        """The tokens, one a row."""
        return pre_trace.reshape(-1, self.weight.shape[1])

    def gradient(self, delta: Tensor, state: SynapseState) -> dict[str, Tensor]:
        """``dw = delta x pre_trace`` over steps, batch and tokens; the feedback learns the same."""
        product = delta.reshape(-1, len(self.weight)).T @ self.incoming(state.pre_trace)
        if self.feedback is None or not self.feedback.requires_grad:
            return {"weight": product}
        return {"weight": product, "feedback": product}

    def reach(self, x: Tensor) -> Tensor:
        """Every input has a synapse to each output."""
        return x.sum() * len(self.weight)

    def send(self, delta: Tensor, state: Any) -> Tensor:
        """Error at the input, through the weights or the feedback that replaces them."""
        if self.feedback is not None:
            return delta @ self.feedback
        if self.signed:
            return delta @ (self.weight.sign() * self.weight.abs().mean())
        return delta @ self.weight
