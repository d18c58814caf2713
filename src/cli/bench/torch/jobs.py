"""The benchmark's jobs in PyTorch, as its users write them: eager, with its own fused functions.

Each function takes operands, options, an element type and a way to do the work. It gives a function
that does it once and returns what the job of the same name computes on the other side, in order.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from experts import WAYS, Pools, feed_forward
from operands import Inputs
from lvlm import Sizes, losses

DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}

Run = Callable[[], list[Tensor]]


def leaves(inputs: Inputs, without: tuple[str, ...] = ()) -> dict[str, Tensor]:
    """The operands of which gradients are wanted."""
    return {name: inputs[name].requires_grad_() for name in inputs if name not in without}


def matmul(inputs: Inputs, options: dict, dtype: torch.dtype, how: str) -> Run:
    """A product, or one for each of a batch."""
    a, b = inputs["a"].to(dtype), inputs["b"].to(dtype)
    return lambda: [torch.matmul(a, b)]


def softmax(inputs: Inputs, options: dict, dtype: torch.dtype, how: str) -> Run:
    """Softmax of rows."""
    x = inputs["x"]
    return lambda: [torch.softmax(x, dim=-1)]


def layer_norm(inputs: Inputs, options: dict, dtype: torch.dtype, how: str) -> Run:
    """Layer norm of rows."""
    x, weight, bias = (inputs[name] for name in ("x", "weight", "bias"))
    return lambda: [F.layer_norm(x, weight.shape, weight, bias, options["epsilon"])]


def rms_norm(inputs: Inputs, options: dict, dtype: torch.dtype, how: str) -> Run:
    """RMS norm of rows."""
    x, weight = inputs["x"], inputs["weight"]
    return lambda: [F.rms_norm(x, weight.shape, weight, options["epsilon"])]


def attention(inputs: Inputs, options: dict, dtype: torch.dtype, how: str) -> Run:
    """Causal attention; with gradients if there is an upstream one."""
    q, k, v = (inputs[name].to(dtype).requires_grad_("upstream" in inputs) for name in "qkv")
    upstream = inputs["upstream"].to(dtype) if "upstream" in inputs else None

    def run() -> list[Tensor]:
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return [y] if upstream is None else [y, *torch.autograd.grad(y, [q, k, v], upstream)]

    return run


def network(inputs: Inputs, options: dict, dtype: torch.dtype, how: str) -> Run:
    """A training step of a two-layer network."""
    x, y = inputs["x"], inputs["y"]
    p = leaves(inputs, without=("x", "y"))
    make = {"adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}[options["optimizer"]]
    optimizer = make(p.values(), lr=options["rate"], weight_decay=0, fused=True)

    def run() -> list[Tensor]:
        hidden = torch.relu(F.linear(x, p["up.weight"], p["up.bias"]))
        loss = F.mse_loss(F.linear(hidden, p["down.weight"], p["down.bias"]), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return [loss]

    return run


def block(inputs: Inputs, options: dict, dtype: torch.dtype, how: str) -> Run:
    """A pre-norm transformer block with causal attention, and its gradients."""
    p = leaves(inputs)
    x = p["x"]
    batch, tokens, width = x.shape
    heads = options["heads"]

    def norm(name: str, x: Tensor) -> Tensor:
        weight, bias = p[f"{name}.weight"], p[f"{name}.bias"]
        return F.layer_norm(x, weight.shape, weight, bias, options["epsilon"])

    def linear(name: str, x: Tensor) -> Tensor:
        return F.linear(x, p[f"{name}.weight"], p[f"{name}.bias"])

    def run() -> list[Tensor]:
        qkv = linear("attention.qkv", norm("norm1", x))
        q, k, v = qkv.view(batch, tokens, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        seen = seen.transpose(1, 2).reshape(batch, tokens, width)
        h = x + linear("attention.output", seen)
        up = F.gelu(linear("mlp.up", norm("norm2", h)))
        loss = (h + linear("mlp.down", up)).sum()
        return [loss, *torch.autograd.grad(loss, list(p.values()))]

    return run


def experts(inputs: Inputs, options: dict, dtype: torch.dtype, how: str) -> Run:
    """A layer of experts, forward or with gradients; parameters are f32 as they are in training."""
    p = leaves(inputs, without=("x", "modality"))
    x, modality = inputs["x"].to(dtype).requires_grad_(), inputs["modality"].long()
    pools = Pools(options["pools"], options["topK"], x.device)

    def run() -> list[Tensor]:
        y, _ = feed_forward(p, x, modality, pools, how)
        if not options["backward"]:
            return [y]
        loss = y.float().sum()
        return [loss, *torch.autograd.grad(loss, [x, *p.values()])]

    return run


def step(inputs: Inputs, options: dict, dtype: torch.dtype, how: str) -> Run:
    """A training step of a vision-language model; the batch comes from the host each time."""
    batch = {name.removeprefix("batch."): inputs.host(name) for name in inputs if "batch." in name}
    p = leaves(inputs, without=tuple(name for name in inputs if "batch." in name))
    device = inputs.device
    sizes = Sizes(options, device)
    optimizer = torch.optim.AdamW(p.values(), lr=options["rate"], weight_decay=0, fused=True)

    def run() -> list[Tensor]:
        here = {name: tensor.to(device) for name, tensor in batch.items()}
        loss, auxiliary = losses(p, sizes, here, dtype, how)
        optimizer.zero_grad()
        (loss + auxiliary).backward()
        norm = torch.nn.utils.clip_grad_norm_(p.values(), options["clipNorm"])
        optimizer.step()
        return [loss, auxiliary, norm]

    return run


EAGER = ("eager",)

WORKS = {
    "matmul": (matmul, ("matmul",)),
    "softmax": (softmax, EAGER),
    "layer_norm": (layer_norm, EAGER),
    "rms_norm": (rms_norm, EAGER),
    "attention": (attention, ("scaled_dot_product_attention",)),
    "network": (network, ("eager, fused optimizer",)),
    "block": (block, EAGER),
    "experts": (experts, WAYS),
    "step": (step, EAGER),
    "step with experts": (step, WAYS),
}
"""For each kind of work its function and the ways to do it, of which the fastest counts."""
