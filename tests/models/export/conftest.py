"""Where remote code of exports goes in tests, and a tokenizer of six words."""

from typing import Any

import pytest
import transformers


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Remote code is copied to a folder of the test's own, and no bar is drawn."""
    place = str(tmp_path_factory.mktemp("modules"))
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", place)
    monkeypatch.syspath_prepend(place)
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # it has no types


@pytest.fixture
def tokenizer() -> Any:
    """A tokenizer of six words."""
    return transformers.BertTokenizer(
        vocab={w: i for i, w in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a"))}
    )
