"""PyTorch's side of `deno task bench --torch`: measures the work that it is asked for.

The program prints a line of JSON that says which PyTorch and which device it has, or why it has
none. Then it reads requests, one line of JSON each, and answers each with one line. Its only user,
`torch.ts` in the folder above, names the shapes of all operands, so that no size stands here.
"""

import argparse
import json
import platform
import sys
import time
from pathlib import Path

try:
    import torch
except ImportError as missing:
    print(json.dumps({"error": str(missing)}), flush=True)
    sys.exit()

from operands import Inputs, write_safetensors
from jobs import DTYPES, WORKS, Run


def wait(device: torch.device) -> None:
    """Returns when the device has nothing left to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measure(run: Run, device: torch.device, timing: dict) -> dict:
    """Times runs as `measure()` of job.ts does, from the call until the device is idle."""

    def once() -> float:
        start = time.perf_counter()
        run()
        wait(device)
        return 1000 * (time.perf_counter() - start)

    def go_on(least: int, most: float, milliseconds: float) -> list[float]:
        times: list[float] = []
        begin = time.perf_counter()
        while len(times) < least or (
            len(times) < most and 1000 * (time.perf_counter() - begin) < milliseconds
        ):
            times.append(once())
        return sorted(times)

    go_on(timing["warmUp"], float("inf"), timing["warmUpMilliseconds"])
    times = go_on(timing["least"], timing["most"], timing["milliseconds"])
    return {"median": times[len(times) // 2], "min": times[0], "n": len(times)}


def benchmark(request: dict, device: torch.device) -> dict:
    """For each element type the fastest of the ways to do the work, and the ways that failed."""
    make, ways = WORKS[request["kind"]]
    measured, failed = [], []
    for dtype in request["dtypes"]:
        tried = []
        for how in ways:
            try:
                inputs = Inputs(request["inputs"], request.get("values"), device)
                run = make(inputs, request["options"], DTYPES[dtype], how)
                times = measure(run, device, request["timing"])
                tried.append({"dtype": dtype, "how": how, **times})
            except Exception as error:  # such as too little memory, or what a device does not have
                message = f"{type(error).__name__}: {error}".split("\n")[0]
                failed.append({"dtype": dtype, "how": how, "error": message})
            run = inputs = None
            if device.type == "cuda":
                torch.cuda.empty_cache()
        measured += sorted(tried, key=lambda it: it["median"])[:1]
    return {"measured": measured, "failed": failed}


def compare(request: dict, device: torch.device) -> dict:
    """Writes the results of the last of some runs to a file, for each way to do the work."""
    make, ways = WORKS[request["kind"]]
    tensors = {}
    for how in ways:
        inputs = Inputs(request["inputs"], request.get("values"), device)
        run = make(inputs, request["options"], DTYPES[request["dtypes"][0]], how)
        for _ in range(request["runs"]):
            results = run()
        for i, result in enumerate(results):
            tensors[f"{how}.{i}"] = result.detach().float().cpu()
    write_safetensors(request["results"], tensors)
    return {"measured": [], "failed": []}


def cpu_name() -> str:
    """The processor's name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main() -> None:
    """Answers requests until there are no more."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cpu", action="store_true", help="leave a GPU alone")
    on_gpu = torch.cuda.is_available() and not parser.parse_args().cpu
    device = torch.device("cuda" if on_gpu else "cpu")
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.manual_seed(1)
    hello = {
        "version": torch.__version__,
        "device": torch.cuda.get_device_name(device) if on_gpu else cpu_name(),
        "type": device.type,
        "threads": torch.get_num_threads(),
    }
    print(json.dumps(hello), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = (compare if "results" in request else benchmark)(request, device)
        except Exception as error:  # the other side says which job it was and goes on
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
