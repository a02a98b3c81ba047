"""The configuration of a run: what data, what network, how it learns.

A configuration is one YAML file with the sections ``data``, ``model`` and ``learn`` and a ``seed``.
Networks, data sets and learning rules are named in it, see :mod:`neurobip.config.named`. Every key
has a default; an unknown key or a value that does not fit is refused by its dotted name.
"""

from neurobip.config.data import DataConfig
from neurobip.config.learn import LearnConfig, RuleConfig
from neurobip.config.loading import load_config, make_config
from neurobip.config.model import ModelConfig
from neurobip.config.named import find, names
from neurobip.config.run import RunConfig
from neurobip.config.section import Section

__all__ = [
    "DataConfig",
    "LearnConfig",
    "ModelConfig",
    "RuleConfig",
    "RunConfig",
    "Section",
    "find",
    "load_config",
    "make_config",
    "names",
]
