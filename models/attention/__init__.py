"""Attention markets: rules by which the keys of a head share out attention, in place of softmax, in real models.

A new rule is one file with one class, and one entry in `ATTENTION_RULES`.
"""

from walras.models.attention.budget import Budget as Budget
from walras.models.attention.budget import price_for_mass as price_for_mass
from walras.models.attention.budget import price_for_support as price_for_support
from walras.models.attention.budget import temperature_for_support as temperature_for_support
from walras.models.attention.entmax import Entmax as Entmax
from walras.models.attention.literal import Literal as Literal
from walras.models.attention.null_key import NullKey as NullKey
from walras.models.attention.random_keys import RandomKeys as RandomKeys
from walras.models.attention.rule import AttentionRule as AttentionRule
from walras.models.attention.softmax import Softmax as Softmax
from walras.models.attention.sparsemax import Sparsemax as Sparsemax
from walras.models.attention.threshold import Threshold as Threshold
from walras.models.attention.top_keys import TopKeys as TopKeys
from walras.models.attention.wiring import Watch as Watch
from walras.models.attention.wiring import attention_market as attention_market

ATTENTION_RULES: dict[str, type[AttentionRule]] = {
    rule.__name__: rule for rule in (Softmax, Sparsemax, Entmax, TopKeys, NullKey, Threshold, Literal, RandomKeys)
}
