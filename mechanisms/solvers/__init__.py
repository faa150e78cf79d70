"""Mathematics that several rules share: ranking, rationing, root finding, linear programs."""
