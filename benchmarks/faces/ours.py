"""The preset `faces` of `avsync train`: its network, objective and augmentation, by the trainer's own functions."""

from torch import Tensor

from avsync.config import TrainConfig
from avsync.data.augment import augmented
from avsync.data.batch import Batch
from avsync.loading.feed import Feed
from avsync.presets import faces
from avsync.run.network import build_network
from avsync.train.step import score
from benchmarks.faces.candidate import Candidate, Losses, Recipe
from benchmarks.faces.stablesync import LN2


class Ours(Candidate):
    """What is watched is the binary part alone, which is ln 2 for who knows nothing, whatever is trained beside it."""

    level = LN2

    def __init__(self, config: TrainConfig, feed: Feed) -> None:
        super().__init__()
        self.network = build_network(config, feed)
        self.config, self.view, self.rate = config, feed.view, feed.dataset.info.clock.sample_rate

    def losses(self, batch: Batch, step: int) -> Losses:
        """As avsync.train.step.Stepper takes them."""
        given = augmented(batch, self.view, self.config, step, self.rate)
        logit = self.network(given.frames, given.sounds).logit
        sums = score(logit, batch.in_sync, batch.valid, self.config.objective)
        return Losses(sums.objective, sums.loss)

    def score(self, frames: Tensor, sounds: Tensor) -> Tensor:
        """The logit of the whole window."""
        return self.network(frames, sounds).logit


RECIPE = Recipe(title="avsync, faces", config=faces(), build=Ours)
