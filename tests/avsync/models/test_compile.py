"""torch.compile is handed what it can take, for every network, and says what the plain network says."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor, fx

from avsync.models import MODELS, build_model
from avsync.models.stem import use_fast_stem
from avsync.run.network import compile_network
from avsync.spec import InputSpec
from sharding.format.clip import Clock

CLOCK = Clock(fps=Fraction(30), sample_rate=16_000)
SPEC = InputSpec(frames=16, height=32, width=32, samples=CLOCK.sample_at(16), channels=1, clock=CLOCK)
SPECS = {"thesis": replace(SPEC, frames=97, height=186, width=186, samples=CLOCK.sample_at(97))}

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # torch's, about itself


@pytest.fixture(autouse=True)
def _afresh() -> Iterator[None]:
    torch.manual_seed(0)
    torch.compiler.reset()
    yield
    torch.compiler.reset()


class Recorder:
    """A compiler that leaves every graph as it is, and remembers it."""

    def __init__(self) -> None:
        self.graphs = list[fx.GraphModule]()

    def __call__(self, graph: fx.GraphModule, _examples: list[Any]) -> Callable[..., Any]:
        self.graphs.append(graph)
        return graph.forward

    def values(self) -> Iterator[Tensor]:
        """Every tensor that any node of any graph makes."""
        for graph in self.graphs:
            for node in graph.graph.nodes:
                if isinstance(value := node.meta.get("example_value"), Tensor):
                    yield value


def inputs(spec: InputSpec) -> tuple[Tensor, Tensor]:
    frames = torch.rand(1, 3, spec.frames, spec.height, spec.width) * 2 - 1
    return frames, torch.rand(1, 2, spec.channels, spec.samples) - 0.5


@pytest.mark.parametrize("fast_stem", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_a_compiled_network_says_the_same_and_its_compiler_sees_no_complex_number(name: str, fast_stem: bool) -> None:
    spec, recorder = SPECS.get(name, SPEC), Recorder()
    net = build_model(name, spec).eval()
    given = inputs(spec)
    plain = net(*given)
    if fast_stem:
        use_fast_stem(net)
    names = net.state_dict().keys()
    compiled = compile_network(net, recorder)
    torch.testing.assert_close(compiled(*given), plain, rtol=1e-3, atol=1e-4)
    assert net.state_dict().keys() == names
    values = list(recorder.values())
    assert any(value.dim() == 5 and value.shape[1] > 3 for value in values), "pictures go through the compiler"
    assert not any(value.is_complex() for value in values)


def test_a_low_rate_stage_is_one_more_compilation_and_coming_back_is_none() -> None:
    recorder = Recorder()
    net = build_model("paper", SPEC)
    compiled = compile_network(net, recorder)
    slow = replace(SPEC, frames=4)
    counts = []
    for spec in (slow, slow, SPEC, SPEC, slow):
        assert compiled(*inputs(spec)).logit.shape == (1, 2)
        counts.append(len(recorder.graphs))
    assert counts[0] == counts[1] < counts[2] == counts[3] == counts[4]
    assert counts[2] == 2 * counts[0]
