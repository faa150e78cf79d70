"""The words with which populations and rules describe themselves.

A population of bids has *traits*; a mechanism names the traits that it `requires` and the properties that it
`guarantees`. The conformance suite holds a mechanism to every property that it names.
"""

# Traits of a population of bids.
INDIVISIBLE = "indivisible"  # levels are 0 and 1 only
SEPARABLE = "separable"  # nobody's utility depends on what others get
CONCAVE = "concave"  # every further unit is worth less: demand falls continuously with the price
ALIKE = "alike"  # all have one shape of utility above thresholds of their own: the shortest are funded first
CHAINED = "chained"  # some can be served only after another

# Properties of a mechanism.
PRICE_FLOOR = "price at or above its floor"
INDIVIDUALLY_RATIONAL = "individually rational"  # nobody pays more than the reported utility of what it gets
PERMUTATION_INVARIANT = "invariant to permutation"  # where no two agents tie
SCALE_INVARIANT = "invariant to scaling"  # of bids and money-valued fields together
SUPPLY_MONOTONE = "monotone in supply"  # of one resource: with more of it, welfare does not fall, no price rises
SEVERAL_RESOURCES = "several resources"  # clears indivisible bids on them; what the relaxation leaves over is free

TRAITS = frozenset({INDIVISIBLE, SEPARABLE, CONCAVE, ALIKE, CHAINED})
PROPERTIES = frozenset(
    {
        PRICE_FLOOR,
        INDIVIDUALLY_RATIONAL,
        PERMUTATION_INVARIANT,
        SCALE_INVARIANT,
        SUPPLY_MONOTONE,
        SEVERAL_RESOURCES,
    }
)
