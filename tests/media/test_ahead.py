import threading
import time

import pytest

from emoscan.media.ahead import read_ahead


def threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "emoscan-read-ahead"]


def test_everything_comes_in_order():
    assert list(read_ahead(range(1000), depth=3)) == list(range(1000))
    assert list(read_ahead([], depth=1)) == []
    assert not threads()


def test_it_runs_ahead_in_another_thread_but_only_so_far():
    made: list[int] = []

    def items():
        for item in range(100):
            made.append(threading.get_ident())
            yield item

    ahead = read_ahead(items(), depth=4)
    assert next(ahead) == 0
    deadline = time.monotonic() + 5
    while len(made) < 5 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.02)
    assert len(made) == 5  # the one that was taken, and four in the buffer
    assert set(made) != {threading.get_ident()}
    ahead.close()
    assert not threads()


def test_errors_come_after_the_items_before_them():
    def items():
        yield 1
        yield 2
        raise OSError("broken")

    seen = []
    with pytest.raises(OSError, match="broken"):
        for item in read_ahead(items(), depth=8):
            seen.append(item)
    assert seen == [1, 2]
    assert not threads()


def test_stopping_early_closes_the_source_in_its_thread():
    closed: list[str] = []

    def items():
        try:
            while True:
                yield 0
        finally:
            closed.append(threading.current_thread().name)

    for error in (KeyboardInterrupt, RuntimeError):
        closed.clear()
        with pytest.raises(error):
            consume_until(read_ahead(items(), depth=2), error)
        assert closed == ["emoscan-read-ahead"]
        assert not threads()


def consume_until(ahead, error):
    try:
        for number, _ in enumerate(ahead):
            if number == 3:
                raise error
    finally:
        ahead.close()
