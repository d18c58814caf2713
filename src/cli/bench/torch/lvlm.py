"""The vision-language model's losses in PyTorch, of parameters by their paths in `src/models`."""

import torch
import torch.nn.functional as F
from torch import Tensor

from experts import Pools, Routing, balance_loss, feed_forward

Parameters = dict[str, Tensor]
VISION_EPSILON = 1e-6


class Sizes:
    """What the shapes of the parameters do not say."""

    def __init__(self, options: dict, device: torch.device) -> None:
        self.vision: dict = options["vision"]
        self.language: dict = options["language"]
        self.auxiliary: float = options["auxiliary"]
        self.mixtures: list[int] = options["mixtures"]
        self.pools = Pools(options["pools"], options["topK"], device)


def linear(p: Parameters, name: str, x: Tensor) -> Tensor:
    """A product with a weight, and its bias if it has one, in the type of the activations."""
    bias = p.get(f"{name}.bias")
    return F.linear(x, p[f"{name}.weight"].to(x.dtype), None if bias is None else bias.to(x.dtype))


def norm(p: Parameters, name: str, x: Tensor, epsilon: float) -> Tensor:
    """Layer norm if there is a bias, else RMS norm; in f32."""
    weight, bias = p[f"{name}.weight"], p.get(f"{name}.bias")
    if bias is None:
        return F.rms_norm(x.float(), weight.shape, weight, epsilon).to(x.dtype)
    return F.layer_norm(x.float(), weight.shape, weight, bias, epsilon).to(x.dtype)


def mlp(p: Parameters, name: str, x: Tensor) -> Tensor:
    """Two linear layers with GELU between them."""
    return linear(p, f"{name}.down", F.gelu(linear(p, f"{name}.up", x)))


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding in LLaMA's layout."""
    first, second = x.chunk(2, dim=-1)
    return (x * cos + torch.cat([-second, first], dim=-1) * sin).to(x.dtype)


def attend(
    p: Parameters,
    name: str,
    x: Tensor,
    heads: int,
    mask: Tensor | None = None,
    turn: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Self-attention."""
    batch, tokens, width = x.shape
    qkv = linear(p, f"{name}.qkv", x).view(batch, tokens, 3, heads, width // heads)
    q, k, v = qkv.permute(2, 0, 3, 1, 4)
    if turn is not None:
        q, k = rotate(q, *turn), rotate(k, *turn)
    seen = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return linear(p, f"{name}.output", seen.transpose(1, 2).reshape(batch, tokens, width))


def vision(p: Parameters, sizes: dict, pixels: Tensor) -> Tensor:
    """Tokens of pictures `[B, 3, H, W]`."""
    patch, side = sizes["patch"], sizes["imageSize"] // sizes["patch"]
    cut = pixels.view(-1, 3, side, patch, side, patch).permute(0, 2, 4, 1, 3, 5)
    x = linear(p, "vision.patches", cut.reshape(-1, side * side, 3 * patch * patch))
    x = x + p["vision.position"].to(x.dtype)
    for i in range(sizes["layers"]):
        name = f"vision.blocks.{i}"
        seen = norm(p, f"{name}.norm1", x, VISION_EPSILON)
        x = x + attend(p, f"{name}.attention", seen, sizes["heads"])
        x = x + mlp(p, f"{name}.mlp", norm(p, f"{name}.norm2", x, VISION_EPSILON))
    return norm(p, "vision.norm", x, VISION_EPSILON)


def packed_mask(segments: Tensor) -> Tensor:
    """No later position, and of the row's texts only the own one and the image, `[B, 1, T, T]`."""
    query, key = segments[:, :, None], segments[:, None, :]
    seen = (key == 0) | ((key == query) & (key >= 0))
    return seen.tril().unsqueeze(1)


def language(
    p: Parameters, sizes: Sizes, x: Tensor, batch: Parameters, how: str
) -> tuple[Tensor, list[Routing]]:
    """Logits `[B × T, vocabulary]` of embeddings, and the routing of the layers with experts."""
    config = sizes.language
    width, heads, epsilon = config["width"], config["heads"], config["epsilon"]
    size = width // heads
    powers = torch.arange(0, size, 2, device=x.device, dtype=torch.float32) / size
    angles = batch["positions"][:, None, :, None] * config["ropeBase"] ** -powers
    turn = (angles.cos().repeat(1, 1, 1, 2), angles.sin().repeat(1, 1, 1, 2))
    mask = packed_mask(batch["segments"])
    modality, real = batch["modality"].flatten(), batch["valid"].flatten() > 0
    routings = []
    for i in range(config["layers"]):
        name = f"language.blocks.{i}"
        seen = norm(p, f"{name}.norm1", x, epsilon)
        x = x + attend(p, f"{name}.attention", seen, heads, mask, turn)
        rows = norm(p, f"{name}.norm2", x, epsilon).view(-1, width)
        if i in sizes.mixtures:
            prefix = f"{name}.ffn."
            y, routing = feed_forward(p, rows, modality, sizes.pools, how, real, prefix)
            routings.append(routing)
        else:
            gate_up, down = (p[f"{name}.ffn.{part}"][0].to(x.dtype) for part in ("gateUp", "down"))
            gate, up = F.linear(rows, gate_up).chunk(2, dim=-1)
            y = F.linear(F.silu(gate) * up, down)
        x = x + y.view(x.shape)
    last = norm(p, "language.norm", x, epsilon).view(-1, width)
    return linear(p, "language.head", last), routings


def losses(
    p: Parameters, sizes: Sizes, batch: Parameters, dtype: torch.dtype, how: str
) -> tuple[Tensor, Tensor]:
    """Cross-entropy, and the load-balancing loss with its coefficient."""
    image = mlp(p, "connector", vision(p, sizes.vision, batch["pixels"].to(dtype)))
    batch = {**batch, "modality": batch["modality"].long()}
    text = F.embedding(batch["tokens"][:, image.shape[1] :], p["language.embedding"])
    x = torch.cat([image, text.to(dtype)], dim=1)
    logits, routings = language(p, sizes, x, batch, how)
    loss = F.cross_entropy(logits.float(), batch["labels"].flatten().long())
    if not routings:
        return loss, loss.new_zeros(())
    real = batch["valid"].flatten() > 0
    balance = balance_loss(routings, batch["modality"].flatten(), real, sizes.pools)
    return loss, sizes.auxiliary * balance
