"""What was measured of a GPU, as tables."""

from benchmarks.gpu.parts import GpuResults
from benchmarks.train.report import (
    COMPUTED,
    COMPUTED_NOTE,
    FORM,
    MEMORY,
    NETWORK,
    SETTING,
    STREAMED,
    STREAMED_NOTE,
    Columns,
    fraction,
    number,
    table,
)

DENSE_BF16_TFLOPS = {"H200": 989.0, "H100 80GB HBM3": 989.0, "A100": 312.0}
"""By the makers' data sheets, without sparsity; a word of the device's name -> peak."""


def data_sheet(device: str) -> float | None:
    """TFLOP/s of dense bf16; None where it is not known."""
    return next((peak for word, peak in DENSE_BF16_TFLOPS.items() if word in device), None)


def markdown(results: GpuResults) -> str:
    """All tables."""
    machine = results.machine
    on_gpu = machine and machine.device != "CPU"  # a CPU may be faster in other numbers than bf16
    measured, sheet = (machine.bf16_tflops, data_sheet(machine.device)) if machine and on_gpu else (None, None)
    shares: Columns = {
        "of bf16 here": lambda row: fraction(row.tflops / measured if measured else None),
        "of the data sheet": lambda row: fraction(row.tflops / sheet if sheet else None),
    }
    computed = sorted(results.computed, key=lambda row: (row.case.network, -row.clips_per_s))
    parts = [f"`{results.command}`", str(machine or "")]
    for title, columns, rows, note in (
        ("Compute alone", COMPUTED | shares | MEMORY, computed, f"{COMPUTED_NOTE} {SHARES_NOTE}"),
        ("Loader and network", STREAMED, results.streamed, STREAMED_NOTE),
        ("Leaving ln 2", LEARNED, results.learned, LEARNED_NOTE),
        ("Scenes", PACKED, results.packed, ""),
        ("Time of the parts", PARTS, results.parts, "The time of all parts together is limited, too."),
    ):
        if rows:
            parts.append(table(title, columns, rows, note).markdown())
    parts += [f"### A step of {found.case}\n\n```text\n{found.table}\n```" for found in results.profiled]
    if results.troubles:
        parts += ["### Without figures", "\n".join(f"- {trouble}" for trouble in results.troubles)]
    return "\n\n".join(part for part in parts if part) + "\n"


SHARES_NOTE = "Share of bf16: of a large matrix product here, and of the maker's dense peak."
LEARNED: Columns = {
    **NETWORK,
    **FORM,
    **SETTING,
    "left ln 2": lambda row: "yes" if row.left else "no",
    "seconds": lambda row: number(row.seconds),
    "steps": lambda row: row.steps,
    "of them the first, s": lambda row: number(row.first_s),
    "loss of the last steps": lambda row: number(row.loss, 3),
    "memory, GB": lambda row: number(row.peak_gb),
}
LEARNED_NOTE = (
    "Random weights, the trainer's own step, the preset's optimiser at a constant rate; from asking for the first "
    "batch until the mean loss of ten steps is below 0.6, or the time is over."
)
PACKED: Columns = {
    **FORM,
    "GB": lambda row: number(row.clips_gb, 2),
    "seconds": lambda row: number(row.seconds),
}
PARTS: Columns = {
    "part": lambda row: row.part,
    "budget, s": lambda row: number(row.budget_s, 0),
    "took, s": lambda row: number(row.took_s, 0),
    "figures": lambda row: row.figures,
    "without": lambda row: row.troubles,
}
