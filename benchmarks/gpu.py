"""Cost of training steps on a GPU: captured as a CUDA graph and one by one, beside the least possible time.

    python benchmarks/gpu.py                       # an NVIDIA device, about two minutes
    python benchmarks/gpu.py --case tables --device cpu

The steps are of the refinement phase, the longest phase, on random data in the memory of the device. What the phase
renews every 50 steps is computed once, from 64 samples. The baseline runs the same steps one by one, as a plain PyTorch
loop does. The columns for each case and precision are:

    ms         time of a step, median of `--repeats` runs of `--steps`
    samples/s  batch size divided by that time
    TFLOP/s    operations of products and convolutions, forward and backward, counted by torch, divided by that time
    of peak    TFLOP/s relative to a product of two 8192 x 8192 matrices in the same precision on the same device
    kernels    number of kernels started per step
    busy       time in kernels relative to the time of the step; below 1, the device waits for the host
    floor      the least possible time: arithmetic at the peak, or weights, gradients and Adam's moments through memory
               at the speed of a copy (60 bytes per weight), whichever is longer; and the time of a step relative to it
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from deepjive.deep.estimator import DeepJIVE
from deepjive.deep.runtime.launch import launched
from deepjive.deep.runtime.settings import Runtime
from deepjive.deep.training.averaging import MovingAverage
from deepjive.deep.training.batches import Scaling
from deepjive.deep.training.objective import RefinementPhase
from deepjive.deep.training.optimizers import optimizers_of
from deepjive.deep.training.settings import TrainingSettings
from deepjive.deep.training.steps import EAGER_STEPS, CapturedSteps, EagerSteps, Steps
from deepjive.experiments.digits.study import deep_settings
from result_tables import ResultTable, add_json_option, write_tables

BYTES_A_WEIGHT = 60  # read twice, gradient written, clipped, Adam's three read and written, average: 15 numbers
PRECISIONS = ("32-true", "bf16-mixed")
PROFILED = 10


@dataclass(frozen=True)
class Case:
    """Shapes and settings of a fit."""

    shape: tuple[int, ...]
    joint: int
    individual: int
    batch: int
    settings: dict[str, Any]


DIGITS = {"identity": "explicit", "networks": "mixed", "dropout": 0.1}
CASES = {
    "tables": Case((784,), 10, 10, 256, {"identity": "explicit", "networks": "dense"}),
    "digits": Case((28, 28), 9, 10, 64, DIGITS),
    "digits, deeper encoders": Case((28, 28), 9, 10, 64, {**DIGITS, "networks": "deeper"}),
    "digits, batches of 1024": Case((28, 28), 9, 10, 1024, DIGITS),
    "turned digits": Case((28, 28), 30, 10, 512, {"identity": "explicit", "networks": "dense"}),
    "volumes, 6 mm": Case((32, 38, 31), 2, 4, 32, {}),
    "volumes, 3 mm": Case((64, 76, 62), 2, 4, 32, {}),
}


def prepared(case: Case, precision: str, device: str, captured: bool) -> tuple[Any, Callable[[], None]]:
    """Return the modules that the refinement phase trains, and a function that takes one step of this phase."""
    settings = deep_settings({**case.settings, "runtime": Runtime(precision=precision), "device": device})
    model = DeepJIVE(joint_rank=case.joint, individual_ranks=case.individual, random_state=0, **settings)
    fabric = launched(device, Runtime(precision=precision))
    torch.manual_seed(0)
    shapes = {"first": case.shape, "second": case.shape}
    model._set_up(shapes, Scaling({}, {}), case.joint, dict.fromkeys(shapes, case.individual))
    phase = RefinementPhase(model.network_, model.identity_weight, model.orthogonality_weight_)
    modules = torch.nn.ModuleList([torch.nn.ModuleList(phase.trained()), torch.nn.ModuleList(phase.auxiliary())])
    training = TrainingSettings(1, case.batch, model.learning_rate, model.weight_decay)
    module, *optimizers = fabric.setup(phase, *optimizers_of(phase, modules, training))
    batch = [torch.randn(case.batch, *case.shape, device=fabric.device) for _ in shapes]
    renewal_samples = [torch.randn(64, *case.shape, device=fabric.device) for _ in shapes]
    phase.renew([(renewal_samples, None)], [(renewal_samples, None)])
    eager, average = EagerSteps(module, optimizers, fabric, training.max_norm), MovingAverage(modules, 0.98)
    steps: Steps = CapturedSteps(eager) if captured else eager
    modules.train()

    def step() -> None:
        terms = steps.gradients(batch, None)
        if not torch.isfinite(terms["total"]):
            raise SystemExit("the loss is not finite")
        steps.update()
        average.update()

    return modules, step


def seconds(step: Callable[[], None], count: int, wait: Callable[[], None]) -> float:
    """Return the mean seconds of a step over `count` steps."""
    wait()
    started = time.perf_counter()
    for _ in range(count):
        step()
    wait()
    return (time.perf_counter() - started) / count


def ceilings(device: str, precision: str) -> tuple[float, float]:
    """Return FLOP/s of a large matrix product, and bytes/s of a copy (read and written)."""
    size = 8192 if device == "cuda" else 2048
    dtype = torch.bfloat16 if precision.startswith("bf16") else torch.float32
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    source = torch.randn(size, size * 4, device=device)
    target, wait = torch.empty_like(source), waiting(device)
    for _ in range(3):
        a @ b
        target.copy_(source)
    product = statistics.median(seconds(lambda: a @ b, 5, wait) for _ in range(3))
    copy = statistics.median(seconds(lambda: target.copy_(source), 5, wait) for _ in range(3))
    return 2 * size**3 / product, 2 * source.numel() * 4 / copy


def waiting(device: str) -> Callable[[], None]:
    return torch.cuda.synchronize if device == "cuda" else lambda: None


def measure(
    name: str, precision: str, captured: bool, options: argparse.Namespace, peak: float, copy: float, table: ResultTable
) -> str:
    """Measure one case, add its row to the table, and return the row as text."""
    case, wait = CASES[name], waiting(options.device)
    modules, step = prepared(case, precision, options.device, captured)
    with FlopCounterMode(display=False) as counter:
        step()
    for _ in range(EAGER_STEPS + 2):
        step()
    step_seconds = statistics.median(seconds(step, options.steps, wait) for _ in range(options.repeats))
    activity = ProfilerActivity.CUDA if options.device == "cuda" else ProfilerActivity.CPU
    with profile(activities=[activity]) as profiled:
        for _ in range(PROFILED):
            step()
        wait()
    kernels = [event for event in profiled.events() if event.device_type == torch.autograd.DeviceType.CUDA]
    busy = sum(event.device_time for event in kernels) / PROFILED / 1e6 / step_seconds
    flops, weights = counter.get_total_flops(), sum(weight.numel() for weight in modules.parameters())
    floor = max(flops / peak, BYTES_A_WEIGHT * weights / copy)
    limit = "arithmetic" if flops / peak > BYTES_A_WEIGHT * weights / copy else "memory"
    steps = "captured" if captured else "one by one"
    speeds = 1e3 * step_seconds, case.batch / step_seconds, flops / step_seconds / 1e12, flops / step_seconds / peak
    table.add(name, precision, steps, *speeds, len(kernels) / PROFILED, busy, 1e3 * floor, limit, step_seconds / floor)
    return (
        f"{name:25}{precision:12}{steps:12}{speeds[0]:8.2f}{speeds[1]:11.0f}{speeds[2]:9.2f}"
        f"{100 * speeds[3]:8.2f}%{len(kernels) / PROFILED:8.0f}{busy:7.2f}"
        f"{1e3 * floor:9.3f} ms ({limit}) x{step_seconds / floor:.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", action="append", choices=list(CASES), help="all by default; may be repeated")
    parser.add_argument("--precision", action="append", choices=PRECISIONS, help="both by default")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=3)
    add_json_option(parser)
    options = parser.parse_args()
    columns = ("case", "precision", "steps", "ms", "samples/s", "TFLOP/s", "of peak", "kernels", "busy", "floor, ms")
    table = ResultTable("gpu", "Training steps on a GPU", (*columns, "limit", "time over floor"))
    warnings.simplefilter("ignore")
    torch.backends.cudnn.deterministic = True  # as in fits
    on_device = options.device == "cuda"
    print(torch.cuda.get_device_name() if on_device else "CPU", f"torch {torch.__version__}", flush=True)
    for precision in options.precision or PRECISIONS:
        peak, copy = ceilings(options.device, precision)
        print(f"{precision}: a large product reaches {peak / 1e12:.1f} TFLOP/s, a copy {copy / 1e12:.2f} TB/s")
        print(
            f"{'':25}{'':12}{'steps':12}{'ms':>8}{'samples/s':>11}{'TFLOP/s':>9}{'of peak':>9}{'kernels':>8}{'busy':>7}"
            f"{'floor':>9}"
        )
        for name in options.case or CASES:
            for captured in (False, True)[: 1 + on_device]:
                print(measure(name, precision, captured, options, peak, copy, table), flush=True)
    write_tables(options.json, [table], sources=["deepjive.deep"])


if __name__ == "__main__":
    main()
