"""Which form is recommended: the smallest that feeds the GPU and fits, and why the others are not."""

import math
from dataclasses import replace

import pytest

from sharding.advise.advice import GPU_CLIPS_PER_S, Figures, Means, TrainingRate, choose, reason, size

SMALL_FORM = Figures(
    name="small",
    offered=True,
    clips=1_000_000,
    clip_bytes=5e5,
    pack_cpu_s=0.3,
    write_bytes_per_s=1e9,
    load_cpu_s=0.03,
    warm=250,
    cold=240,
    psnr_db=41,
)
LARGE_FORM = replace(SMALL_FORM, name="large", clip_bytes=3e7, load_cpu_s=0.003, warm=2_000, cold=900, psnr_db=math.inf)
FLOATS = replace(LARGE_FORM, name="floats", offered=False, clip_bytes=2e8, psnr_db=None)
FORMS = (LARGE_FORM, FLOATS, SMALL_FORM)
NODE = Means(cores=8, processes=8, train_clips_per_s=200, free_bytes=10**15, memory_bytes=2 * 10**11)


def test_the_smallest_form_that_feeds_the_gpu_is_chosen():
    assert choose(FORMS, NODE) is SMALL_FORM
    assert "large would take 60 times the space" in reason(SMALL_FORM, FORMS, NODE)


def test_a_larger_form_is_chosen_where_only_it_feeds_the_gpu():
    hungry = replace(NODE, train_clips_per_s=800)
    assert choose(FORMS, hungry) is LARGE_FORM
    text = reason(LARGE_FORM, FORMS, hungry)
    assert text.startswith(
        "8 cores load 900 clips/s of it, training takes 800; small takes 1/60 of the space but loads 240 clips/s"
    )
    assert "floats" not in text


def test_a_form_that_does_not_fit_is_not_chosen():
    full = replace(NODE, train_clips_per_s=800, free_bytes=10**12)
    assert choose(FORMS, full) is SMALL_FORM
    text = reason(SMALL_FORM, FORMS, full)
    assert "more than the 1.00 TB that are free" in text
    assert "the limit is the CPU, 30 ms a clip; 24 cores would do" in text


def test_a_slow_disk_speaks_for_the_small_form():
    slow = replace(LARGE_FORM, cold=10)
    hungry = replace(NODE, train_clips_per_s=800)
    assert choose((slow, SMALL_FORM), hungry) is SMALL_FORM
    assert "load 10 clips/s, held back by the disk, 300 MB/s" in reason(SMALL_FORM, (slow, SMALL_FORM), hungry)


def test_a_collection_that_stays_in_memory_is_judged_by_its_warm_rate():
    few = [replace(form, clips=1_000) for form in (replace(LARGE_FORM, cold=10), SMALL_FORM)]
    assert choose(few, replace(NODE, train_clips_per_s=800)) is few[0]


def test_what_is_offered_is_recommended_and_nothing_else():
    with_floats = (replace(FLOATS, clip_bytes=1.0, cold=1e6, warm=1e6), LARGE_FORM, SMALL_FORM)
    assert choose(with_floats, replace(NODE, train_clips_per_s=5_000)).offered


@pytest.mark.parametrize("cores", [1, 2, 8, 16])
def test_a_machine_without_a_gpu_is_not_advised_by_the_speed_of_one(cores: int):
    without, with_one = (TrainingRate.assumed(gpu=gpu, cores=cores) for gpu in (False, True))
    assert without.clips_per_s < with_one.clips_per_s == GPU_CLIPS_PER_S
    for rate in (without, with_one):
        assert "assumed" in rate.source
        assert "--gpu-clips-per-s" in rate.source
    laptop = replace(NODE, cores=cores, train_clips_per_s=without.clips_per_s)
    forms = [replace(form, warm=form.warm * cores / 8, cold=form.warm * cores / 8) for form in FORMS]
    assert choose(forms, laptop).name == "small"


def test_packing_takes_as_long_as_its_slower_half():
    assert SMALL_FORM.pack_hours(8) == pytest.approx(0.3 * 1e6 / 8 / 3600)
    assert replace(LARGE_FORM, write_bytes_per_s=1e8).pack_hours(8) == pytest.approx(3e13 / 1e8 / 3600)


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (663_500, "664 kB"), (29.5e6, "29.5 MB"), (3.408e12, "3.41 TB")]
)
def test_sizes_are_written_as_disks_are_sold(count: float, text: str):
    assert size(count) == text
