"""Profiles of Hypothesis: HYPOTHESIS_PROFILE chooses one; `ci` is the default and repeats itself exactly."""

import os

from hypothesis import settings

settings.register_profile("ci", max_examples=50, derandomize=True, deadline=None)
settings.register_profile("nightly", max_examples=500, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
