"""`walras gateway` says what is wrong before it listens."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from walras.errors import InputError
from walras.experiments.cli.serving.gateway import check_installed, check_other

Walras = Callable[..., Any]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--upstream", "nowhere", "--budget", 10), "--upstream is 'nowhere'"),
        (("--upstream", "http://a", "--budget", 0), "--budget is 0"),
        (("--upstream", "http://a", "--budget", 10, "--per", "5 days"), "--per is '5 days'"),
        (("--upstream", "http://a", "--budget", 10, "--window", 0), "--window is 0"),
        (("--upstream", "http://a", "--budget", 10, "--upstream-timeout", "x"), "--upstream-timeout is 'x'"),
        (("--upstream", "http://a", "--budget", 10, "--port", 0, "--unfunded", "rejekt"), "Did you mean 'reject'"),
        (("--upstream", "http://a", "--budget", 10, "--port", 0, "--policy", "clare"), "Did you mean 'clear'"),
        (("--upstream", "http://a", "--budget", 10, "--port", 0, "--dialect", "vlm"), "Did you mean 'vllm'"),
        (("--upstream", "http://a", "--budget", 10, "--port", 0, "--sharing", "Mine"), "unknown mechanism 'Mine'"),
        (("--upstream", "http://a", "--budget", 10, "--port", 0, "--tenants", "no.yaml"), "file of tenants 'no.yaml'"),
        (("--upstream", "http://a", "--budget", 10, "--port", 0, "--log", "no/such/log"), "log 'no/such/log'"),
        (("--upstream", "http://a", "--budget", 10, "--upstream-key-env", "NO_SUCH"), "'NO_SUCH', which is not set"),
        (("--upstream", "http://a", "--budget", 10, "--host", "no such host"), "--host is no such host"),
        (("--upstream", "http://a", "--budget", 10, "--per", "5s", "--window", 4), "--per and --window both say"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(
    walras: Walras, options: Any, told: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert told in walras("gateway", *options).error


def test_a_missing_package_is_told_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "prometheus_client" else find(name))
    with pytest.raises(InputError, match=r"needs prometheus-client: pip install '.\[serve\]' .*\(or pip install prom"):
        check_installed()


def test_a_gateway_before_itself_is_refused() -> None:
    with pytest.raises(InputError, match="is the gateway itself"):
        check_other("http://localhost:8600/v1", 8600)
    check_other("http://127.0.0.1:8000/v1", 8600)
    check_other("http://other.example:8600/v1", 8600)
