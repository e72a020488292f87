"""Reads a run's TensorBoard files back, the way TensorBoard itself does."""

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def curve(run: Path, name: str, tag: str) -> dict[int, float]:
    """Step -> value of one curve. Fails when a step is drawn twice."""
    events = scalars(run, name, tag)
    steps = [event.step for event in events]
    assert len(set(steps)) == len(steps), f"{tag} draws a step twice: {steps}"
    return {event.step: event.value for event in events}


def scalars(run: Path, name: str, tag: str) -> list:
    return load(run, name).Scalars(tag)


def load(run: Path, name: str) -> EventAccumulator:
    """All events of RUN/tensorboard/NAME."""
    events = EventAccumulator(str(run / "tensorboard" / name), size_guidance={"scalars": 0, "images": 0})
    events.Reload()
    return events
