"""Many runs: cells, statistics, timings."""
