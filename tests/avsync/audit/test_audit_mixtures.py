"""Labels of mixtures: the law of training tells nothing, exactly; a law that does is found, by count and by probes."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from avsync.audit.audit import WHOLE, look_at_mixtures
from avsync.audit.config import AuditConfig
from avsync.audit.mixture_labels import (
    ASKED,
    BY_EAR,
    PROBES,
    MixtureRows,
    law_of_mixtures,
    mixture_draws,
    probe_mixtures,
)
from avsync.audit.result import AuditResult
from avsync.audit.rules import RULES
from avsync.audit.verdicts import MIXTURES, judge, judge_mixtures, strictness
from avsync.config import PairConfig
from avsync.data.pairs import in_sync_sampler
from avsync.loading.feed import Feed
from avsync.staging.mirror import StagedDataset
from launch.cli import DONE, USAGE, main
from sharding.base.files import read_json
from tests.pages import alone

COUPLES, EACH = 80, 4
"""Two sources each, and mixtures of these."""


def rows_of(planted: int | None = None, by: float = 2.0) -> MixtureRows:
    """Of made-up parts, each mixture with both pictures; in the picture's own part one number is `by` larger."""
    draw = np.random.default_rng(0)
    mixture = np.repeat(np.arange(COUPLES * EACH), 2)
    own_first = np.arange(len(mixture)) % 2 == 0
    values = np.repeat(draw.normal(size=(COUPLES * EACH, len(ASKED))), 2, axis=0).astype(np.float32)
    maps = np.repeat(draw.normal(size=(COUPLES * EACH, 4, 10)), 2, axis=0).astype(np.float16)
    if planted is not None:
        values[:, planted] += np.where(own_first, by, -by)
        maps[:, 1] += np.where(own_first, by, -by)[:, None].astype(np.float16)
    couple = mixture // EACH
    return MixtureRows(
        maps=maps,
        values=values,
        clips=np.stack((2 * couple, 2 * couple + 1), 1),
        mixture=mixture,
        own_first=own_first,
    )


def verdicts(rows: MixtureRows) -> dict[str, tuple[float, str]]:
    """Of each probe, how often it was right, and the verdict."""
    source, z = np.arange(2 * COUPLES), strictness(PROBES, COUPLES)
    found = probe_mixtures(rows, source, 0, z, torch.device("cpu"), lambda *_: None)
    return {one.probe: (one.accuracy.value, judge(one, MIXTURES).verdict) for one in found}


def test_a_mixture_that_comes_with_both_pictures_tells_nothing_exactly():
    rows = rows_of()
    assert law_of_mixtures(rows).bits == 0
    assert judge_mixtures(law_of_mixtures(rows)).verdict == "pass"
    assert verdicts(rows) == dict.fromkeys((*ASKED, BY_EAR), (0.5, "pass"))


@pytest.mark.parametrize("planted", range(len(ASKED)))
def test_what_the_pictures_own_part_has_is_found_and_named(planted: int):
    found = verdicts(rows_of(planted))
    name = tuple(ASKED)[planted]
    assert {probe for probe, (_, verdict) in found.items() if verdict == "fail"} == {name, BY_EAR}
    assert found[name][0] > 0.9


@pytest.mark.parametrize("kept", ["louder", "first"])
def test_a_law_that_hears_a_mixture_with_one_picture_only_fails_by_count(kept: str):
    rows = rows_of()
    own_louder = (rows.values[:, 0] > 0) == rows.own_first
    at = np.flatnonzero(own_louder if kept == "louder" else rows.own_first)
    some = MixtureRows(**{field.name: getattr(rows, field.name)[at] for field in fields(rows)})
    told = judge_mixtures(law_of_mixtures(some))
    assert told.verdict == "fail"
    assert law_of_mixtures(some).accuracy == 1
    if kept == "louder":
        right, verdict = verdicts(some)["loudness"]
        assert right > 0.99
        assert verdict == "fail"


def test_every_rule_is_asked_about_mixtures_in_words_that_fit():
    assert set(RULES) < set(ASKED)
    assert not [asks for asks in ASKED.values() if "label" in asks]


def feed_of(dataset: Path, config: AuditConfig) -> Feed:
    return Feed.of(StagedDataset.of_folder(dataset), config.split, config.pairs, WHOLE, sampler=in_sync_sampler)


@pytest.mark.parametrize("seed", [0, 3])
def test_partners_are_of_two_sources_that_meet_no_others(dataset: Path, seed: int):
    config = AuditConfig(labels="mixtures", seed=seed, pairs=PairConfig(window_s=1), pairs_per_clip=3)
    feed = feed_of(dataset, config)
    draws = mixture_draws(feed, config)
    source = feed.dataset.index.group[[draw.clip for draw in draws]].reshape(-1, 2)
    assert len(source)
    assert (source[:, 0] != source[:, 1]).all()
    partner = dict[int, int]()
    for one, other in source.tolist():
        assert partner.setdefault(one, other) == other
        assert partner.setdefault(other, one) == one


def test_a_dataset_is_audited_and_the_command_that_follows_is_told(dataset: Path, tmp_path: Path, capsys):
    page, found = tmp_path / "mixtures.html", tmp_path / "mixtures.json"
    flags = ["--pairs.window-s", "1", "--separate.spread-db", "3", "--page", str(page), "--json", str(found)]
    assert main(["audit", str(dataset), "--labels", "mixtures", *flags]) == DONE
    shown = capsys.readouterr().out
    assert "train " in shown
    assert "--preset separate --features SYNC_RUN --pairs.window-s 1" in shown
    assert "--separate.spread-db 3" in shown
    alone(page.read_text())
    assert "law of mixtures" in page.read_text()
    assert "--labels mixtures --pairs.window-s 1" in page.read_text()
    assert "where the sound window begins" not in page.read_text()
    kept = read_json(found, AuditResult)
    assert kept.leak is None
    assert kept.mixtures
    assert kept.mixtures.bits == 0
    assert {one.guesses.accuracy.value for one in kept.findings} == {0.5}


def test_parts_are_those_of_training_and_come_in_an_order_that_knows_no_picture(dataset: Path):
    config = AuditConfig(labels="mixtures", pairs=PairConfig(window_s=1))
    found = look_at_mixtures(feed_of(dataset, config), config)
    again = look_at_mixtures(feed_of(dataset, config), replace(config, device="cpu"))
    assert [one.guesses for one in found.findings] == [one.guesses for one in again.findings]
    assert all(one.guesses.accuracy.value == 0.5 for one in found.findings)


def test_labels_that_do_not_exist_are_a_wrong_flag(dataset: Path, capsys):
    assert main(["audit", str(dataset), "--labels", "words"]) == USAGE
    assert "mixtures" in capsys.readouterr().err
