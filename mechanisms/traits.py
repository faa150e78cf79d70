"""The traits of populations and the properties of rules, by name.

A population of bids has *traits*; a mechanism names the traits that it `requires` and the properties that it
`guarantees`. The conformance suite holds a mechanism to every property that it names.
"""

# Traits of a population of bids.
INDIVISIBLE = "indivisible"  # levels are 0 and 1 only
SEPARABLE = "separable"  # no agent's utility depends on what others get
CONCAVE = "concave"  # every further unit is worth less: demand falls continuously with the price
ALIKE = "alike"  # all have one shape of utility above thresholds of their own: the shortest are funded first
CHAINED = "chained"  # some can be served only after another
MENU = "menus"  # quantities are those of a short list: bids have their `size` and `value`
BUDGETED = "budgeted"  # no agent can pay more than its money, whatever a quantity is worth to it

# Properties of a mechanism.
PRICE_FLOOR = "price at or above its floor"
INDIVIDUALLY_RATIONAL = "individually rational"  # no agent pays more than the reported utility of what it gets
PERMUTATION_INVARIANT = "invariant to permutation"  # where no two agents tie
SCALE_INVARIANT = "invariant to scaling"  # of bids and money-valued fields together
SUPPLY_MONOTONE = "monotone in supply"  # of one resource: with more of it, welfare does not fall, no price rises
SEVERAL_RESOURCES = "several resources"  # clears bids on them; a resource that is not used up is free
TRUTHFUL = "truthful"  # whatever others report, no agent gains by reporting anything but its true utility
WITHIN_BUDGETS = "within budgets"  # no agent pays more than the money that its bids name
EFFICIENT = "efficient"  # no allocation within the supply is worth more, by the reports

TRAITS = frozenset({INDIVISIBLE, SEPARABLE, CONCAVE, ALIKE, CHAINED, MENU, BUDGETED})
PROPERTIES = frozenset(
    {
        PRICE_FLOOR,
        INDIVIDUALLY_RATIONAL,
        PERMUTATION_INVARIANT,
        SCALE_INVARIANT,
        SUPPLY_MONOTONE,
        SEVERAL_RESOURCES,
        TRUTHFUL,
        WITHIN_BUDGETS,
        EFFICIENT,
    }
)
