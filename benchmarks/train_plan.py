"""Which jobs, and in what order: what matters most comes first, and later jobs build on what earlier ones gave."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from avsync.config import ModelName
from benchmarks.train_jobs import ComputeJob, Job, MachineJob, Size, StreamJob, TrainJob
from benchmarks.train_settings import BESIDE, COMPILED, FIRST, LADDER, Case, Results, Setting

FPS = 30


class Plan:
    """All jobs for the networks of a command line."""

    def __init__(self, options: argparse.Namespace, datasets: Sequence[Path], results: Callable[[], Results]) -> None:
        """results: what is known when it is called."""
        self.options, self.datasets, self.results = options, datasets, results
        self.streamed = set[Case]()

    def jobs(self) -> Iterator[Job]:
        """In the order of importance."""
        yield MachineJob(device=self.options.device)
        yield from self.compute(FIRST)
        yield from self.stream()
        yield from self.compute(LADDER)
        yield from self.train()
        yield from self.compute(COMPILED)
        yield from self.stream()
        yield from self.other_batches()
        yield from self.compute(BESIDE)

    def compute(self, settings: Sequence[Setting]) -> Iterator[Job]:
        """Setting by setting, so that each has a figure for every network before the time is over."""
        for setting in settings:
            for network in self.options.networks:
                yield self._compute(self._case(network, setting))

    def other_batches(self) -> Iterator[Job]:
        """The fastest setting with twice and half the clips."""
        for network, setting in self._fastest():
            for clips in (2 * self.options.batch, max(1, self.options.batch // 2)):
                yield self._compute(Case(network=network, setting=setting, batch=clips))

    def stream(self) -> Iterator[Job]:
        """The fastest setting so far, fed from each dataset; once."""
        for network, setting in self._fastest():
            case = self._case(network, setting)
            if case in self.streamed:
                continue
            self.streamed.add(case)
            for dataset in self.datasets:
                yield StreamJob(
                    device=self.options.device, case=case, dataset=dataset, side=self.options.size,
                    window_s=self.options.frames / FPS, seconds=2 * self.options.seconds,
                )  # fmt: skip

    def train(self) -> Iterator[Job]:
        """`avsync train` with as much of the fastest setting so far as it can be told."""
        for network, setting in self._fastest():
            known = replace(setting, stem=False, fused=False, per_example=False)
            for dataset in self.datasets[:1]:
                yield TrainJob(
                    device=self.options.device, case=self._case(network, known), dataset=dataset,
                    side=self.options.size, window_s=self.options.frames / FPS, steps=self.options.steps,
                )  # fmt: skip

    def _fastest(self) -> list[tuple[ModelName, Setting]]:
        known, clips = self.results(), self.options.batch
        found = [(network, known.best(network, clips)) for network in self.options.networks]
        return [(network, setting) for network, setting in found if setting]

    def _case(self, network: ModelName, setting: Setting) -> Case:
        return Case(network=network, setting=setting, batch=self.options.batch)

    def _compute(self, case: Case) -> Job:
        size = Size(side=self.options.size, frames=self.options.frames)
        return ComputeJob(device=self.options.device, case=case, size=size, seconds=self.options.seconds)
