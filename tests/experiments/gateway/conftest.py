"""A stub upstream for each test."""

from collections.abc import Iterator

import pytest
from stub_upstream import StubUpstream


@pytest.fixture
def upstream() -> Iterator[StubUpstream]:
    with StubUpstream() as running:
        yield running
