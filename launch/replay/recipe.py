"""What is replayed: scenes, labels, and how much of it. No torch here."""

from dataclasses import dataclass, field, replace
from fractions import Fraction

from avsync.audit.config import AuditConfig
from avsync.config import OptimConfig, PairConfig, PairsName, RuntimeConfig, TrainConfig, ViewConfig
from avsync.presets import PRESETS
from sharding.config import PackConfig
from sharding.scenes.config import SceneConfig

MUTED_S = Fraction(10_000, 44_100)
"""What the thesis zeroed: 10,000 samples of 44.1 kHz, 0.227 s."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayArm:
    """One way to make labels, and the network that is trained on them."""

    name: str
    """Of its folder."""
    title: str
    """For figures and tables."""
    law: PairsName
    muted: bool = False
    """The start of every window is zeroed, as long as the thesis's was."""
    honest_steps: int = 0
    """It first learns so many steps as arm `symmetric`: the thesis's network began well, too."""
    steps: int = 0
    """Of its whole training; 0: as many as the others. A network that knows something better turns slowly."""


ARMS = (
    ReplayArm(name="symmetric", title="two real windows of one clip", law="symmetric"),
    ReplayArm(name="cyclic", title="cyclic shift", law="cyclic"),
    ReplayArm(name="muted", title="cyclic shift, start zeroed", law="cyclic", muted=True),
    ReplayArm(name="collapse", title="honest at first, then cyclic shift", law="cyclic", honest_steps=80, steps=280),
)
"""Who goes on from another one stands behind it."""
AUDITED: tuple[PairsName, ...] = ("cyclic", "uniform", "symmetric")
"""Pairs whose labels are audited; uniform is what first comes to mind."""


def _train() -> TrainConfig:
    return replace(
        PRESETS["small"](),
        steps=160,
        validate_every=20,
        pairs=PairConfig(window_s=3, min_shift_s=1, max_shift_s=4.4),
        view=ViewConfig(crop=0.9),
        optim=OptimConfig(name="adamw", lr=3e-3, weight_decay=1e-2, warmup_steps=20),
        runtime=RuntimeConfig(device="cpu", checkpoint_every=20, keep=1000),  # any of them may be gone on from
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayRecipe:
    """Settings of every step. The defaults suit two CPU cores and twenty minutes."""

    scenes: SceneConfig = field(
        default_factory=lambda: SceneConfig(
            count=840,
            seconds=8,
            size=40,
            fps=10,
            lookalikes=1,
            sound_noise=0.001,
            hum=0.03,
            val_share=0.12,
            test_share=0.165,
        )
    )
    """With the hum that real rooms have: noise alone would hide where a sound was cut."""
    pack: PackConfig = field(
        default_factory=lambda: PackConfig(
            fps="10",
            size=40,
            sample_rate=16_000,
            min_clip_s="6",
            sources_per_shard=100,
            val_percent=15,
            test_percent=25,
        )
    )
    """Of scenes and of a person's videos alike; the percentages are of the latter."""
    train: TrainConfig = field(default_factory=_train)
    audit: AuditConfig = field(default_factory=lambda: AuditConfig(device="cpu", clips=240))
    arms: tuple[ReplayArm, ...] = ARMS
    audited: tuple[PairsName, ...] = AUDITED

    def config_of(self, arm: ReplayArm) -> TrainConfig:
        """How an arm is trained. Who goes on from elsewhere keeps its rate: it has something new to learn."""
        config, pairs = self.train, self.pairs_of(arm.law, muted=arm.muted)
        optim = replace(config.optim, schedule="constant") if arm.honest_steps else config.optim
        return replace(config, pairs=pairs, optim=optim, steps=arm.steps or config.steps)

    def pairs_of(self, law: PairsName, *, muted: bool = False) -> PairConfig:
        samples = round(MUTED_S * self.pack.sample_rate) if muted else 0
        return replace(self.train.pairs, law=law, mute_samples=samples)
