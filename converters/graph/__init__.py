"""The graph of a network: populations of neurons, and the synapses between them."""
