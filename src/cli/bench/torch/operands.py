"""Operands for `peer.py`: out of safetensors files, or random ones of given shapes."""

import ctypes
import json
import struct
from collections.abc import Mapping

import torch
from torch import Tensor

TYPES = {"F32": torch.float32, "I32": torch.int32}


def read_safetensors(path: str) -> dict[str, Tensor]:
    """All tensors of a file (https://github.com/huggingface/safetensors)."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = bytearray(file.read())
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        dtype = TYPES[entry["dtype"]]
        flat = torch.frombuffer(
            data, dtype=dtype, count=(end - begin) // dtype.itemsize, offset=begin
        )
        tensors[name] = flat.reshape(entry["shape"])
    return tensors


def write_safetensors(path: str, tensors: Mapping[str, Tensor]) -> None:
    """Writes tensors of 32-bit floats on the host."""
    header, parts, at = {}, [], 0
    for name, tensor in tensors.items():
        tensor = tensor.contiguous()
        part = ctypes.string_at(tensor.data_ptr(), tensor.nbytes)  # without NumPy
        shape = list(tensor.shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + len(part)]}
        parts.append(part)
        at += len(part)
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(parts))


class Inputs(Mapping[str, Tensor]):
    """Operands by name, in the order of the request; each look-up makes new memory."""

    def __init__(
        self, described: dict[str, dict], values: str | None, device: torch.device
    ) -> None:
        self.described = described
        self.values = read_safetensors(values) if values else None
        self.device = device

    def __iter__(self):
        return iter(self.described)

    def __contains__(self, name: object) -> bool:
        return name in self.described

    def __len__(self) -> int:
        return len(self.described)

    def host(self, name: str) -> Tensor:
        """An operand whose values were handed over, in the host's memory."""
        if self.values is None:
            raise ValueError(f"the values of {name} matter, but there are none")
        return self.values[name].clone()

    def __getitem__(self, name: str) -> Tensor:
        if self.values is not None:
            return self.host(name).to(self.device)
        shape, dtype = self.described[name]["shape"], self.described[name]["dtype"]
        if dtype == "i32":  # modalities, half of the tokens each
            return torch.arange(shape[0], dtype=torch.int32, device=self.device) % 2
        if len(shape) == 1:  # scales and biases
            return torch.ones(shape, device=self.device)
        return torch.randn(shape, device=self.device) / shape[-1] ** 0.5
