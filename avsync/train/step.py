"""One optimiser step: forward and backward over a step's batches, then the update. Knows no order and no files.

The learning rate is a pure function of the step: there is no scheduler state to save. B clips, K sounds per clip.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from avsync.config import ObjectiveName, OptimConfig, OptimizerName, TrainConfig
from avsync.data.augment import augmented
from avsync.data.batch import Batch
from avsync.data.order import View
from avsync.data.transforms import NetworkInput, prepare, to_rgb
from avsync.loading.options import StoppedWaiting
from avsync.models.parts import SyncNet, SyncOutput
from avsync.run.network import compile_network
from avsync.train.best_place import best_place, with_controls


class LossSums(NamedTuple):
    """Sums over the examples of a batch that count; add them up over batches and ranks, then divide."""

    objective: Tensor
    """() what is trained, of this batch, with gradient"""
    loss: Tensor
    """() mean binary cross-entropy of this batch, whatever is trained: ln 2 for who knows nothing"""
    correct: Tensor
    """() examples on the right side of 0"""
    examples: Tensor
    """() examples; a sound in sync counts as much as all others of its picture together"""


Objective = Callable[[Tensor, Tensor, Tensor], Tensor]
"""logit, in_sync, weight (B, K) -> ()."""


def cross_entropy(logit: Tensor, in_sync: Tensor, weight: Tensor) -> Tensor:
    """Binary, of each sound by itself; weighted mean."""
    losses = functional.binary_cross_entropy_with_logits(logit, in_sync, reduction="none")
    return (losses * weight).sum() / weight.sum().clamp(min=1)


def choice(logit: Tensor, in_sync: Tensor, weight: Tensor) -> Tensor:
    """Softmax over the sounds of a picture, one of them in sync (Chung et al. 2019, Perfect match): whatever a person
    or a microphone adds to all of them falls away. The binary cross-entropy beside it holds the zero in its place.
    """
    of_picture = (weight.sum(dim=1) > 0).float()
    losses = functional.cross_entropy(logit, in_sync.argmax(dim=1), reduction="none")
    chosen = (losses * of_picture).sum() / of_picture.sum().clamp(min=1)
    return chosen + cross_entropy(logit, in_sync, weight)


OBJECTIVES: dict[ObjectiveName, Objective] = {"binary": cross_entropy, "choice": choice}


def score(logit: Tensor, in_sync: Tensor, valid: Tensor, objective: ObjectiveName = "binary") -> LossSums:
    """logit, in_sync (B, K); valid (B,). Rows that are not valid count for nothing."""
    logit, others = logit.float(), max(1, in_sync.shape[1] - 1)
    weight = valid.unsqueeze(1) * (in_sync + (1 - in_sync) / others)
    loss = cross_entropy(logit.detach(), in_sync, weight)
    wanted = OBJECTIVES[objective](logit, in_sync, weight)
    correct = (((logit > 0) == (in_sync > 0.5)) * weight).sum()
    return LossSums(wanted, loss, correct, weight.sum())


Build = Callable[[Iterable[nn.Parameter], OptimConfig], torch.optim.Optimizer]

OPTIMIZERS: dict[OptimizerName, Build] = {
    "sgd": lambda weights, c: torch.optim.SGD(weights, c.lr, weight_decay=c.weight_decay),
    "momentum": lambda weights, c: torch.optim.SGD(weights, c.lr, momentum=0.9, weight_decay=c.weight_decay),
    "adam": lambda weights, c: torch.optim.Adam(weights, c.lr, weight_decay=c.weight_decay),
    "adamw": lambda weights, c: torch.optim.AdamW(weights, c.lr, weight_decay=c.weight_decay),
}


def build_optimizer(weights: Iterable[nn.Parameter], config: OptimConfig) -> torch.optim.Optimizer:
    """The optimiser a configuration names."""
    return OPTIMIZERS[config.name](weights, config)


def learning_rate(step: int, steps: int, config: OptimConfig) -> float:
    """Rate of global step `step`, counted from 0, of `steps`: linear warm-up, then cosine to 0 or constant."""
    if step < config.warmup_steps:
        return config.lr * (step + 1) / config.warmup_steps
    if config.schedule == "constant":
        return config.lr
    done = (step - config.warmup_steps) / (steps - config.warmup_steps)
    return config.lr * 0.5 * (1 + math.cos(math.pi * done))


class Accelerates(Protocol):
    """What a step needs of accelerate."""

    def prepare(self, *args: Any) -> Any:
        """Network and optimiser, ready for their device, precision and ranks."""
        ...

    def backward(self, loss: Tensor) -> None: ...
    def no_sync(self, model: Any) -> AbstractContextManager[Any]:
        """Inside, gradients are not averaged over ranks."""
        ...

    def clip_grad_norm_(self, parameters: Any, max_norm: float) -> Any: ...


def mixed(device: torch.device) -> AbstractContextManager[object]:
    """Inside, networks compute in mixed precision, bf16."""
    return torch.autocast(device.type, torch.bfloat16)


class Stepper:
    """A network and its optimiser."""

    def __init__(
        self, accelerator: Accelerates, network: nn.Module, config: TrainConfig, view: View, sample_rate: int
    ) -> None:
        self.network, self.optimizer = network, build_optimizer(network.parameters(), config.optim)
        self._accelerator, self._config, self._view, self._sample_rate = accelerator, config, view, sample_rate
        self._convert = to_rgb
        self.gradients: Callable[[], AbstractContextManager[object]] = nullcontext
        """Around backward and what the ranks exchange in it."""

    def ready(self) -> None:
        """Once, when weights and optimiser state are in place."""
        model: Callable[..., Any] = self.network
        if self._config.compile:
            assert isinstance(self.network, SyncNet)  # of no other is it asked (TrainConfig)
            model, self._convert = compile_network(self.network), torch.compile(to_rgb, dynamic=False)
        self._model, self._update = self._accelerator.prepare(model, self.optimizer)
        if isinstance(self._model, DistributedDataParallel):
            # rank 0's statistics are what is kept, and are sent before each validation: not in every forward pass,
            # where a rank would wait for others and take that for its own work
            self._model.broadcast_buffers = False

    @property
    def rate(self) -> float:
        """The last step's learning rate."""
        return self.optimizer.param_groups[0]["lr"]

    def step(self, step: int, batches: Iterator[Batch], see: Callable[[Batch], None]) -> Tensor:
        """Train on a step's batches. Returns this rank's sums: loss, correct, examples, unreadable clips.

        `see` is shown the first one. StoppedWaiting of `batches` leaves all as if the step had not begun.
        """
        config, parts = self._config, self._config.runtime.accumulate
        totals = torch.zeros(4, device=next(self.network.parameters()).device)
        self.network.train()
        before = [buffer.clone() for buffer in self.network.buffers()] if parts > 1 else []
        for part in range(parts):
            try:
                batch = next(batches)
            except StoppedWaiting:
                self._undo(before)
                raise
            if not part:
                see(batch)
            with nullcontext() if part == parts - 1 else self._accelerator.no_sync(self._model):
                totals += self._forward_backward(batch, step, parts)
        if config.optim.clip_norm:
            self._accelerator.clip_grad_norm_(self._model.parameters(), config.optim.clip_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(step, config.steps, config.optim)
        self._update.step()
        self._update.zero_grad()
        return totals

    def prepared(self, batch: Batch, step: int = 0) -> NetworkInput:
        """What the network is shown."""
        if self._config.augment.wanted:
            return augmented(batch, self._view, self._config, step, self._sample_rate, self._convert)
        return prepare(batch, self._view, self._config.pairs.mute_samples, self._convert)

    @torch.no_grad()
    def _undo(self, before: list[Tensor]) -> None:
        """Forget the parts of a step: batch norm's statistics have moved, and gradients have come."""
        for buffer, value in zip(self.network.buffers(), before, strict=False):  # one part: nothing has been done
            buffer.copy_(value)
        self.optimizer.zero_grad()

    def ask(self, batch: Batch, step: int) -> LossSums:
        """The network's answers to a batch, and what they are worth."""
        given, config = self.prepared(batch, step), self._config
        sounds = given.sounds
        if config.pointing:
            sounds = with_controls(sounds, batch.in_sync, batch.draws, config.seed, step)
        with mixed(given.frames.device) if config.precision == "bf16" else nullcontext():
            out: SyncOutput = self._model(self.laid_out(given.frames), sounds)
        found = score(out.logit[:, : given.sounds.shape[1]], batch.in_sync, batch.valid, config.objective)
        if not config.pointing:
            return found
        places = best_place(out, batch.in_sync, batch.valid)
        return found._replace(objective=found.objective + config.pointing * places)

    def _forward_backward(self, batch: Batch, step: int, parts: int) -> Tensor:
        result = self.ask(batch, step)
        with self.gradients():
            self._accelerator.backward(result.objective / parts)
        unreadable = (~batch.valid).sum()
        return torch.stack((result.loss * result.examples, result.correct, result.examples, unreadable))

    def laid_out(self, frames: Tensor) -> Tensor:
        """In the memory order that was chosen for the network."""
        return frames.contiguous(memory_format=torch.channels_last_3d) if self._config.channels_last else frames
