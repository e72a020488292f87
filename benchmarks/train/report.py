"""What was measured, as tables."""

from collections.abc import Callable, Iterable
from typing import Any

from benchmarks.base.table import Table
from benchmarks.train.settings import Results
from sharding.base.text import percent

Columns = dict[str, Callable[[Any], object]]
"""Head -> cell of a row; None is a dash."""


def markdown(results: Results) -> str:
    """All tables."""
    peak = results.machine.bf16_tflops if results.machine else None
    of_peak: Columns = {"of bf16 peak": lambda row: fraction(row.tflops / peak if peak else None)}
    order = sorted(results.computed, key=lambda row: (row.case.network, -row.clips_per_s))  # fastest first
    parts = [f"`{results.command}`", str(results.machine or "")]
    for title, columns, rows, note in (
        ("Compute alone", COMPUTED | of_peak | MEMORY, order, COMPUTED_NOTE),
        ("Loader and network", STREAMED, results.streamed, STREAMED_NOTE),
        ("`avsync train` itself", TRAINED, results.trained, ""),
    ):
        if rows:
            parts.append(table(title, columns, rows, note).markdown())
    if results.troubles:
        parts += ["### Without figures", "\n".join(f"- {trouble}" for trouble in results.troubles)]
    return "\n\n".join(part for part in parts if part) + "\n"


def table(title: str, columns: Columns, rows: Iterable[Any], note: str) -> Table:
    """A row for each of the rows."""
    cells = [tuple("-" if (found := cell(row)) is None else str(found) for cell in columns.values()) for row in rows]
    return Table(title, tuple(columns), cells, note)


def number(value: float | None, digits: int = 1) -> str | None:
    """A figure with so many digits after the point."""
    return None if value is None else f"{value:.{digits}f}"


def fraction(value: float | None) -> str | None:
    """0.123 -> 12.3 %"""
    return None if value is None else percent(value)


def milliseconds(value: float | None) -> str | None:
    """Seconds in."""
    return None if value is None else f"{1e3 * value:.1f}"


NETWORK: Columns = {"network": lambda row: row.case.network}
FORM: Columns = {"form": lambda row: row.form}
SETTING: Columns = {"setting": lambda row: row.case.setting, "clips a step": lambda row: row.case.batch}
WAITING: Columns = {"waiting for data": lambda row: fraction(row.wait_share)}
COMPUTED: Columns = {
    **NETWORK,
    **SETTING,
    "clips/s": lambda row: number(row.clips_per_s),
    "step, ms": lambda row: milliseconds(row.step_s),
    "kernels, ms": lambda row: milliseconds(row.kernels_s),
    "launching, ms": lambda row: milliseconds(row.launch_s),
    "host waits": lambda row: row.waits,
    "TFLOP/s": lambda row: number(row.tflops, 2),
}
MEMORY: Columns = {
    "memory, GB": lambda row: number(row.peak_gb),
    "first step, s": lambda row: number(row.first_s),
}
COMPUTED_NOTE = (
    "A step: bytes to pictures, forward, backward, optimiser, on a batch that lies on the device. Medians after four "
    "steps; the first one, with compiling and cuDNN's trials, stands apart. TFLOP/s count what the plain network with "
    "a shared trunk needs. tf32 is what `--precision fp32` means on a GPU."
)
STREAMED: Columns = {
    **NETWORK,
    **FORM,
    **SETTING,
    "sounds": lambda row: row.sounds,
    "loader alone, clips/s": lambda row: row.clips_per_s(row.loader_s),
    "compute alone": lambda row: row.clips_per_s(row.compute_s),
    "together": lambda row: row.clips_per_s(row.together_s),
    "GPU idle": lambda row: fraction(row.idle_share),
    "NVML busy": lambda row: fraction(row.busy),
    **WAITING,
    "copying a batch, ms": lambda row: milliseconds(row.transfer_s),
    "limit": lambda row: row.limit,
}
STREAMED_NOTE = "GPU idle: 1 - (kernels of a step, alone) / (step, together)."
TRAINED: Columns = {
    **NETWORK,
    **FORM,
    **SETTING,
    "clips/s": lambda row: number(row.clips_per_s),
    **WAITING,
    "GPU busy": lambda row: fraction(row.busy),
}
