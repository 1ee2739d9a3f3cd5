"""Every definition by its name, in the order in which people meet them."""

from __future__ import annotations

from ck_fmha.masks._base import Mask
from ck_fmha.masks._block_layouts import (
    BigBird,
    DeepSpeedBigBird,
    DeepSpeedFixed,
    DeepSpeedLongformer,
    DeepSpeedVariable,
)
from ck_fmha.masks._block_list import BlockList
from ck_fmha.masks._neighborhood import Neighborhood
from ck_fmha.masks._patterns import Causal, Fixed, Full, Longformer, PrefixLM, Strided, Window
from ck_fmha.masks._sequences import Documents, Lengths

DEFINITIONS: dict[str, type[Mask]] = {
    definition.__name__: definition
    for definition in (
        Full,
        Causal,
        Window,
        PrefixLM,
        Strided,
        Fixed,
        Longformer,
        BigBird,
        DeepSpeedFixed,
        DeepSpeedVariable,
        DeepSpeedLongformer,
        DeepSpeedBigBird,
        Documents,
        Lengths,
        Neighborhood,
        BlockList,
    )
}
