"""What was measured, as a line while it goes on and as tables in the end."""

from collections.abc import Iterable, Iterator, Sequence

from benchmarks.train_settings import Computed, Machine, Results, Streamed, Trained, Trouble


def number(value: float | None, digits: int = 1) -> str:
    """A figure, or a dash where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"


def share(value: float | None) -> str:
    """0.123 -> 12.3 %"""
    return "-" if value is None else f"{value:.1%}"


def milliseconds(value: float | None) -> str:
    """Seconds in, with one digit after the point."""
    return number(None if value is None else 1e3 * value)


def line(row: Machine | Computed | Streamed | Trained | Trouble) -> str:
    """For whoever watches."""
    if isinstance(row, Machine):
        return machine(row)
    if isinstance(row, Trouble):
        return f"{row.what}: {row.why}"
    case = f"{row.case.network}, {row.case.batch} clips, {row.case.setting}"
    if isinstance(row, Computed):
        return f"{case}: {row.clips_per_s:.1f} clips/s, first step {row.first_s:.0f} s"
    if isinstance(row, Trained):
        return f"avsync train {case}: {row.clips_per_s:.1f} clips/s"
    clips = row.case.batch
    return (
        f"{case} from {row.form}: loader {clips / row.loader_s:.1f}, compute {clips / row.compute_s:.1f}, together "
        f"{clips / row.together_s:.1f} clips/s, idle {share(row.idle_share)}; limit: {row.limit}"
    )


def machine(seen: Machine) -> str:
    """In a line."""
    return (
        f"{seen.device}, {seen.cores} cores, torch {seen.torch}, cuDNN {seen.cudnn}; measured here: matrices of bf16 "
        f"{seen.bf16_tflops:.1f} TFLOP/s, memory {seen.copy_gb_s:.0f} GB/s read and written"
    )


def markdown(results: Results) -> str:
    """All tables."""
    parts = [f"`{results.command}`", machine(results.machine) if results.machine else ""]
    if results.computed:
        parts += ["## Compute alone", "\n".join(table(COMPUTED, computed(results))), COMPUTED_NOTE]
    if results.streamed:
        parts += ["## Loader and network", "\n".join(table(STREAMED, streamed(results.streamed))), STREAMED_NOTE]
    if results.trained:
        parts += ["## `avsync train` itself", "\n".join(table(TRAINED, trained(results.trained)))]
    if results.troubles:
        parts += ["## Without figures", "\n".join(f"- {line(trouble)}" for trouble in results.troubles)]
    return "\n\n".join(part for part in parts if part) + "\n"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Lines of a table."""
    for cells in (heads, ["---"] * len(heads), *rows):
        yield f"| {' | '.join(cells)} |"


COMPUTED = (
    "network", "setting", "clips a step", "clips/s", "step, ms", "kernels, ms", "launching, ms", "host waits",
    "TFLOP/s", "of bf16 peak", "memory, GB", "first step, s",
)  # fmt: skip
COMPUTED_NOTE = (
    "A step: bytes to pictures, forward, backward, optimiser, on a batch that lies on the device. Medians after four "
    "steps; the first one, with compiling and cuDNN's trials, stands apart. TFLOP/s count what the plain network with "
    "a shared trunk needs. tf32 is what `--precision fp32` means on a GPU."
)
STREAMED = (
    "network", "form", "setting", "clips a step", "sounds", "loader alone, clips/s", "compute alone", "together",
    "GPU idle", "NVML busy", "waiting for data", "copying a batch, ms", "limit",
)  # fmt: skip
STREAMED_NOTE = "GPU idle: 1 - (kernels of a step, alone) / (step, together)."
TRAINED = ("network", "form", "setting", "clips a step", "clips/s", "waiting for data", "GPU busy")


def computed(results: Results) -> Iterator[Sequence[str]]:
    """Network by network, fastest first."""
    peak = results.machine.bf16_tflops if results.machine else None
    for row in sorted(results.computed, key=lambda row: (row.case.network, -row.clips_per_s)):
        yield (
            row.case.network, str(row.case.setting), str(row.case.batch), number(row.clips_per_s),
            milliseconds(row.step_s), milliseconds(row.kernels_s), milliseconds(row.launch_s),
            "-" if row.waits is None else str(row.waits), number(row.tflops, 2),
            share(row.tflops / peak if peak else None), number(row.peak_gb), number(row.first_s),
        )  # fmt: skip


def streamed(rows: Sequence[Streamed]) -> Iterator[Sequence[str]]:
    """As measured."""
    for row in rows:
        clips = row.case.batch
        yield (
            row.case.network, row.form, str(row.case.setting), str(clips), str(row.sounds),
            number(clips / row.loader_s), number(clips / row.compute_s), number(clips / row.together_s),
            share(row.idle_share), share(row.busy), share(row.wait_share), milliseconds(row.transfer_s), row.limit,
        )  # fmt: skip


def trained(rows: Sequence[Trained]) -> Iterator[Sequence[str]]:
    """As measured."""
    for row in rows:
        yield (
            row.case.network, row.form, str(row.case.setting), str(row.case.batch), number(row.clips_per_s),
            share(row.wait_share), share(row.busy),
        )  # fmt: skip
