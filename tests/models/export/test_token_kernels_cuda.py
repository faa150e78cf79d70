"""The Triton kernels against plain sums: on a GPU where there is one, else in Triton's interpreter where it is.

Triton comes with torch for NVIDIA GPUs, and with no other; without it these tests say so and are passed over.
"""

import importlib.util
import os
import subprocess
import sys

import pytest
import torch

TRITON = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="needs triton, which comes with torch for a GPU"
)
CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
CHECK = """
import torch
from walras.models.export.token_kernels_cuda import CudaKernel
place = "cuda" if torch.cuda.is_available() else "cpu"
torch.manual_seed(0)
for n, m, dtype in ((100, 70, torch.float32), (130, 65, torch.bfloat16), (64, 64, torch.float32)):
    weight, bar, x, y = torch.randn(n, m), torch.rand(n), torch.randn(n), torch.randn(m)
    weight, bar, x, y = weight.to(place, dtype), bar.to(place), x.to(place), y.to(place)
    kernel, keep = CudaKernel(weight, bar), x.abs() >= bar
    assert 0 < keep.sum() < n
    torch.testing.assert_close(kernel.columns(x), (x * keep) @ weight.float(), rtol=0, atol=1e-3)
    torch.testing.assert_close(kernel.rows(y, x), torch.where(keep, weight.float() @ y, 0.0), rtol=0, atol=1e-3)
    x[3] = torch.nan
    assert CudaKernel(weight, torch.full_like(bar, 1e9)).columns(x).isnan().all()
print("the same")
"""


@TRITON
def test_the_kernels_add_what_is_bought() -> None:
    place = {} if torch.cuda.is_available() else {"TRITON_INTERPRET": "1"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", CHECK], capture_output=True, text=True, env={**os.environ, **place}, check=False
    )
    assert done.stdout == "the same\n", done.stderr[-2000:]


@CUDA
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_market_on_the_gpu_is_that_on_the_cpu(dtype: torch.dtype) -> None:
    from torch import nn

    from walras.models.export.modeling_sparsified import market_of

    torch.manual_seed(0)
    for kind, (inputs, outputs) in (("features", (96, 48)), ("neurons", (48, 96))):
        market = market_of(nn.Linear(inputs, outputs).to(dtype), kind, "dense")
        market.get_buffer("price").fill_(0.3)
        args = [torch.randn(1, 1, inputs, dtype=dtype)] + (
            [torch.randn(1, 1, outputs, dtype=dtype)] * (kind == "neurons")
        )
        with torch.no_grad():
            expected = market(*args)
            found = market.cuda()(*(a.cuda() for a in args)).cpu()
        torch.testing.assert_close(
            found.float(), expected.float(), rtol=0, atol=1e-3 if dtype == torch.float32 else 0.1
        )
