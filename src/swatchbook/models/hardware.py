"""Device and number format, chosen from the hardware, with the reason in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from swatchbook.memory import keep_freed

if TYPE_CHECKING:
    from torch import nn

# Share of a training step that compiling saves, and what it costs. Measured on one H200 at 224 px, batch 64:
# DINOv2 ViT-B/14 1,687 → 2,399 images/s in bf16; ResNet-50 channels last 4,000 eager against 3,885 compiled.
SAVED_BY_COMPILING = {"transformer": 0.30, "convolutional": 0.0}
COMPILING = 60.0  # seconds, for the two sizes that batches have; an estimate
MARGIN = 2.0  # how many times its cost it must save

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Hardware:
    """Where and how to compute.

    Attributes:
        device: ``cuda`` or ``cpu``.
        precision: ``fp32``, ``fp16`` or ``bf16``.
        reason: One sentence that says why.
    """

    device: str
    precision: str
    reason: str

    @property
    def scales(self) -> bool:
        """Whether gradients need a GradScaler: fp16's smallest numbers are too large for them."""
        return self.precision == "fp16"

    def autocast(self) -> torch.autocast:
        """The autocast context; without effect in fp32."""
        return torch.autocast(self.device, DTYPES[self.precision], enabled=self.precision != "fp32")


def choose(precision: str = "auto", device: str = "auto") -> Hardware:
    """Choose the device and the number format.

    The choice goes by compute capability, never by `torch.cuda.is_bf16_supported`, which says yes on a
    T4, where bfloat16 is emulated and several times slower than float16.

    Args:
        precision: ``auto``, or ``fp32``, ``fp16``, ``bf16`` to insist.
        device: ``auto``, ``cuda`` or ``cpu``.

    Raises:
        ValueError: If the hardware cannot do what is insisted on.
    """
    if precision not in ("auto", *DTYPES):
        raise ValueError(f"precision {precision!r}; allowed: auto, {', '.join(DTYPES)}")
    if device not in ("auto", "cuda", "cpu"):
        raise ValueError(f"device {device!r}; allowed: auto, cuda, cpu")
    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise ValueError("device 'cuda': torch sees no CUDA GPU here; allowed: auto, cpu")
    if device == "cpu" or not there:
        why = "asked for" if device == "cpu" else "torch sees no CUDA GPU"
        if precision == "fp16":
            raise ValueError("precision 'fp16' needs a CUDA GPU; allowed on a CPU: auto, fp32, bf16")
        chosen = "fp32" if precision == "auto" else precision
        return Hardware("cpu", chosen, f"cpu, {chosen}: {why}")
    major, minor = torch.cuda.get_device_capability()
    name = f"{torch.cuda.get_device_name()} (compute capability {major}.{minor})"
    if precision == "bf16" and major < 8:
        raise ValueError(f"precision 'bf16': {name} only emulates it; allowed: auto, fp32, fp16")
    if precision != "auto":
        return Hardware("cuda", precision, f"cuda, {precision}: asked for, on {name}")
    if major >= 8:
        return Hardware("cuda", "bf16", f"cuda, bf16: {name} computes it in hardware")
    if major >= 7:
        return Hardware("cuda", "fp16", f"cuda, fp16 with scaled gradients: {name} has no bf16 in hardware")
    return Hardware("cuda", "fp32", f"cuda, fp32: {name} has no tensor cores for less")


def kind_of(network: nn.Module) -> str:
    """``convolutional`` with more than one convolution, else ``transformer``, whose patches are one."""
    return "convolutional" if sum(p.ndim == 4 for p in network.parameters()) > 1 else "transformer"


def placed(network: nn.Module, device: str) -> nn.Module:
    """The network on a device, in the memory layout that is fastest there for its kind."""
    # Channels last: convolutions gain up to a half, on GPUs and CPUs alike; transformers nothing.
    layout = torch.channels_last if kind_of(network) == "convolutional" else torch.preserve_format
    return network.to(device).to(memory_format=layout)


def compiling_pays(setting: str, device: str, network: nn.Module, seconds_left: float) -> tuple[bool, str]:
    """Decide on `torch.compile` for the rest of a training.

    Args:
        setting: ``auto``, or ``yes`` or ``no`` to insist.
        device: ``cuda`` or ``cpu``.
        network: What is trained.
        seconds_left: That the rest of the training would take as it is.

    Returns:
        Whether to compile, and one sentence that says why.
    """
    if setting != "auto":
        return setting == "yes", f"torch.compile: {setting}, asked for"
    if device == "cpu":
        return False, "torch.compile: no, on a CPU it takes longer than it saves"
    kind = kind_of(network)
    saved = SAVED_BY_COMPILING[kind] * seconds_left
    pays = saved > MARGIN * COMPILING
    why = f"about {saved:.0f} of the {seconds_left:.0f} s left saved ({kind}), {COMPILING:.0f} s to compile"
    return pays, f"torch.compile: {'yes' if pays else 'no'}, {why}"


@contextmanager
def fixed_threads(count: int) -> Iterator[None]:
    """Compute on `count` CPU threads, then as before; the bits of a sum depend on the number of threads.

    From then on the process keeps the memory that it frees.
    """
    keep_freed()
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
