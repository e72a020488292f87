"""Items made ahead are the same ones, errors too, and who stops early leaves nothing running."""

import threading
from collections.abc import Generator
from contextlib import closing

import pytest

from sharding.base.ahead import ahead

ROOMS = [0, 1, 3, 50]


class Source:
    """Counts up to a limit, then ends or fails."""

    def __init__(self, stop: int, error: Exception | None = None) -> None:
        self.stop, self.error, self.made, self.closed = stop, error, 0, False

    def items(self) -> Generator[int]:
        try:
            for number in range(self.stop):
                self.made += 1
                yield number
            if self.error is not None:
                raise self.error
        finally:
            self.closed = True


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("count", [0, 1, 2, 20])
def test_they_come_in_order_and_once(room: int, count: int) -> None:
    source = Source(count)
    assert list(ahead(source.items(), room)) == list(range(count))
    assert source.closed


@pytest.mark.parametrize("room", ROOMS)
def test_an_error_comes_after_the_items_before_it(room: int) -> None:
    source, taken = Source(5, MemoryError("no room")), list[int]()
    with pytest.raises(MemoryError, match="no room"):
        any(taken.append(item) for item in ahead(source.items(), room))
    assert taken[:5] == list(range(5))


@pytest.mark.parametrize("room", ROOMS)
def test_who_stops_early_closes_the_source_and_leaves_no_thread(room: int) -> None:
    source, before = Source(1000), threading.active_count()
    with closing(ahead(source.items(), room)) as items:
        assert next(items) == 0
    assert source.closed
    assert source.made <= 2 + room
    assert threading.active_count() == before
