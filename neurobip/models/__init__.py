"""Networks: the protocol, Sequential, BiTFormer and its head, and networks of snnTorch."""

from neurobip.models.bitformer import BiTFormer
from neurobip.models.bitformer_config import BiTFormerConfig
from neurobip.models.head import Head
from neurobip.models.network import Network
from neurobip.models.sequential import Sequential
from neurobip.models.snntorch import network_from_snntorch

__all__ = ["BiTFormer", "BiTFormerConfig", "Head", "Network", "Sequential", "network_from_snntorch"]
