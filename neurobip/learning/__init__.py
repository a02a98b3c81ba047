"""The local three-factor rule, the backpropagation baseline and the training loop."""
