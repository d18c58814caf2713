"""The layer of experts in PyTorch: routing by modality, sorting, products of groups, gathering."""

import torch
import torch.nn.functional as F
from torch import Tensor

WAYS = ("loop", "grouped_mm")
"""Products of the groups by a loop over the experts, or by PyTorch's grouped product."""

NO_EXPERT = -1e30
ALIGNMENT = 8
"""Rows to whose multiple the groups of the grouped product are padded."""


class Pools:
    """Which experts the tokens of each modality choose among, and by which router's outputs."""

    def __init__(self, pools: list[dict], top_k: int, device: torch.device) -> None:
        self.top_k = top_k
        count = 1 + max(expert for pool in pools for expert in pool["experts"])
        table = torch.full((len(pools), count), -1)
        users: dict[int, list[int]] = {}
        for modality, pool in enumerate(pools):
            if pool["router"] is not None:
                users.setdefault(pool["router"], []).append(modality)
        self.routers: list[tuple[Tensor, Tensor]] = []
        """For each router its experts, and `[modalities]`: true of those that it serves."""
        columns = 0
        for _, modalities in sorted(users.items()):
            experts = torch.tensor(pools[modalities[0]]["experts"])
            serves = torch.zeros(len(pools), dtype=torch.bool)
            serves[modalities] = True
            self.routers.append((experts.to(device), serves.to(device)))
            for modality in modalities:
                table[modality, experts] = columns + torch.arange(len(experts))
            columns += len(experts)
        self.column = table.to(device)
        """`[modalities, experts]`: column of the router outputs, -1 of a forbidden expert."""


class Routing:
    """What the routing of one layer decided."""

    def __init__(self, probabilities: Tensor, chosen: Tensor, weights: Tensor) -> None:
        self.probabilities = probabilities
        self.chosen = chosen
        self.weights = weights


def route(routers: Tensor, x: Tensor, modality: Tensor, pools: Pools) -> Routing:
    """Softmax over the allowed experts in f32, the best k, their weights divided by the sum."""
    column = pools.column[modality]
    scores = F.linear(x.float(), routers).gather(1, column.clamp_min(0))
    probabilities = scores.masked_fill(column < 0, NO_EXPERT).softmax(-1)
    picked, chosen = probabilities.topk(pools.top_k, dim=-1)
    return Routing(probabilities, chosen, picked / picked.sum(-1, keepdim=True))


def ends_of(group: Tensor, count: int) -> Tensor:
    """Where each of so many groups ends in a sorted list."""
    return torch.searchsorted(group, torch.arange(1, count + 1, device=group.device))


def by_loop(rows: Tensor, group: Tensor, gate_up: Tensor, down: Tensor) -> Tensor:
    """One product after the other. The host must know where each group ends, and waits for that."""
    ends = ends_of(group, len(gate_up)).tolist()
    parts = torch.tensor_split(rows, ends)
    out = []
    # unbind, not an index each: the gradient of an index is as large as all experts together
    for mine, into, back in zip(parts, gate_up.unbind(0), down.unbind(0)):
        gate, up = F.linear(mine, into).chunk(2, dim=-1)
        out.append(F.linear(F.silu(gate) * up, back))
    return torch.cat(out)


def by_grouped_mm(rows: Tensor, group: Tensor, gate_up: Tensor, down: Tensor) -> Tensor:
    """All groups in one call, which reads their ends on the device: the host waits for nothing.

    CUDA wants groups of whole 16 bytes for the gradient of the weights, so each is padded.
    """
    count, device = len(gate_up), rows.device
    ends = ends_of(group, count)
    starts = F.pad(ends[:-1], (1, 0))
    padded_ends = ((ends - starts + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT).cumsum(0)
    moved = F.pad(padded_ends[:-1], (1, 0)) - starts
    place = torch.arange(len(rows), device=device) + moved[group]
    padded = rows.new_zeros(len(rows) + count * ALIGNMENT, rows.shape[1])
    padded = padded.index_copy(0, place, rows)
    offsets = padded_ends.int()
    product = getattr(F, "grouped_mm", None) or torch._grouped_mm
    gate, up = product(padded, gate_up.transpose(1, 2), offs=offsets).chunk(2, dim=-1)
    return product(F.silu(gate) * up, down.transpose(1, 2), offs=offsets)[place]


def feed_forward(
    p: dict[str, Tensor],
    x: Tensor,
    modality: Tensor,
    pools: Pools,
    how: str,
    real: Tensor | None = None,
    prefix: str = "",
) -> tuple[Tensor, Routing]:
    """Applies a layer to tokens `[T, D]`.

    Padding, where `real` is false, adds nothing. For the loop it is sorted behind all experts and
    cut off; the grouped product, for which the host waits for no number, takes it with weight zero.
    """
    count = len(p[f"{prefix}gateUp"])
    routers = [name for name in p if name.startswith(f"{prefix}routers.")]
    routing = route(torch.cat([p[name] for name in routers]), x, modality, pools)
    tokens, k = routing.chosen.shape
    group, weights = routing.chosen.flatten(), routing.weights.flatten()
    if real is not None:
        counted = real.repeat_interleave(k, output_size=tokens * k)
        group = torch.where(counted, group, count if how == "loop" else count - 1)
        weights = torch.where(counted, weights, 0)
    group, order = group.sort()
    product = by_loop if how == "loop" else by_grouped_mm
    gate_up, down = (p[f"{prefix}{name}"].to(x.dtype) for name in ("gateUp", "down"))
    out = product(x[order // k], group, gate_up, down)
    order = order[: len(out)]
    y = torch.zeros(x.shape, device=x.device)
    y = y.index_add(0, order // k, out.float() * weights[order, None])
    return y.to(x.dtype), routing


def balance_loss(routings: list[Routing], modality: Tensor, real: Tensor, pools: Pools) -> Tensor:
    """The routers' load-balancing losses, the tokens of all layers together."""
    everyone = torch.arange(pools.column.shape[1], device=modality.device)
    total = torch.zeros((), device=modality.device)
    for experts, serves in pools.routers:
        mask = (real & serves[modality]).float()
        tokens = (mask.sum() * len(routings)).clamp_min(1)
        probability = sum(mask @ routing.probabilities for routing in routings)
        choices = sum(
            mask @ (routing.chosen[:, :, None] == everyone).sum(1).float() for routing in routings
        )
        shares = (choices / tokens * (probability / tokens))[experts]
        total = total + len(experts) * shares.sum()
    return total
