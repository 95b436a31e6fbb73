import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from queue import SimpleQueue

import pytest

from emoscan.ahead import ITEMS_A_THREAD, mapped, read_ahead


def threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "emoscan-read-ahead"]


def test_everything_comes_in_order():
    assert list(read_ahead(range(1000), depth=3)) == list(range(1000))
    assert list(read_ahead([], depth=1)) == []
    assert not threads()


def test_a_thread_that_waits_for_its_consumer_is_woken_to_end() -> None:
    told: SimpleQueue[int | None] = SimpleQueue()

    def items():
        yield from iter(told.get, None)

    ahead = read_ahead(items(), depth=1, wake=lambda: told.put(None))
    told.put(1)
    assert next(ahead) == 1
    ahead.close()
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


@pytest.fixture
def interruptible():
    """SIGINT raises KeyboardInterrupt, even where whoever started pytest ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt_twice() -> None:
    for _ in range(2):
        time.sleep(0.2)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
    time.sleep(0.2)


def test_interrupts_wait_for_the_item_at_work(interruptible):
    ended: list[int] = []
    closing = threading.Event()

    def items():
        try:
            yield 0
            closing.wait()
            interrupt_twice()
            yield 1
        finally:
            ended.append(1)

    source = items()
    ahead = read_ahead(source, depth=2)
    assert next(ahead) == 0
    with pytest.raises(KeyboardInterrupt):
        closing.set()
        ahead.close()
    assert ended == [1]
    source.close()  # would be a ValueError while the thread is in it
    assert not threads()


@pytest.mark.parametrize("launched", [True, False])
def test_interrupt_while_the_thread_starts(monkeypatch, launched):
    real = threading.Thread.start

    def start(thread):
        if launched:
            real(thread)
        raise KeyboardInterrupt

    source = iter_forever()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        with pytest.raises(KeyboardInterrupt):
            next(read_ahead(source, depth=2))
    assert not threads()
    source.close()


def iter_forever():
    while True:
        yield 0


def test_a_process_can_exit_without_having_stopped_it():
    code = """
import itertools
from emoscan.ahead import mapped, read_ahead, _Ahead
_Ahead.stop = lambda self: None
ahead = read_ahead(itertools.count(), depth=2)
next(ahead)
import sys; sys.modules["kept"] = ahead
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_generator_expressions_are_closed():
    ended, stopped = ((number for number in range(5)) for _ in range(2))
    failed = (1 // (2 - number) for number in range(5))
    list(read_ahead(ended, depth=2))
    with pytest.raises(ZeroDivisionError):
        list(read_ahead(failed, depth=2))
    ahead = read_ahead(stopped, depth=2)
    next(ahead)
    ahead.close()
    assert [source.gi_frame for source in (ended, failed, stopped)] == [None] * 3


def test_mapped_keeps_the_order_and_works_side_by_side() -> None:
    both = threading.Barrier(2, timeout=10)

    def double(item: int) -> int:
        if item < 2:
            both.wait()  # neither gets on without the other
        return 2 * item

    assert list(mapped(double, iter(range(7)), threads=2)) == [0, 2, 4, 6, 8, 10, 12]


def test_mapped_raises_in_its_turn_and_reads_little_ahead() -> None:
    taken: list[int] = []

    def items():
        for item in range(100):
            taken.append(item)
            yield item

    def fails_at_three(item: int) -> int:
        if item == 3:
            raise ZeroDivisionError
        return item

    given = []
    with pytest.raises(ZeroDivisionError):
        for item in mapped(fails_at_three, items(), threads=2):
            given.append(item)
    assert given == [0, 1, 2] and len(taken) <= 3 + ITEMS_A_THREAD * 2


def test_mapped_waits_for_what_is_at_work_when_it_is_closed() -> None:
    ended: list[int] = []

    def slow(item: int) -> int:
        time.sleep(0.05)
        ended.append(item)
        return item

    with closing(mapped(slow, iter(range(100)), threads=2)) as results:
        assert next(results) == 0
    assert len(ended) <= 4


def test_a_thread_that_hangs_does_not_keep_python_from_its_end() -> None:
    script = """
import time
import emoscan.ahead
from emoscan.ahead import read_ahead

emoscan.ahead.PATIENCE_S = 0.2

def items():
    yield 7
    time.sleep(3600)

left = read_ahead(items(), depth=1)
print(next(left), flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("7\n", "")


def test_whoever_reads_as_python_ends_is_told_that_it_is_not_all() -> None:
    """A table would be taken for whole."""
    script = """
import atexit
import threading
import time

@atexit.register  # called after those that are registered later
def wait() -> None:
    reader.join(20)

from emoscan.ahead import read_ahead

def items():
    while True:
        time.sleep(0.02)
        yield 7

def read():
    try:
        for _ in read_ahead(items(), depth=1):
            begun.set()
    except RuntimeError as error:
        print(error, flush=True)
    else:
        print("all there is", flush=True)

begun = threading.Event()
reader = threading.Thread(target=read, daemon=True)
reader.start()
begun.wait()
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("Python ends while items are read ahead\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_process_waits_for_no_thread_of_its_parent() -> None:
    script = """
import os
import sys
import time
from emoscan.ahead import read_ahead

def items():
    while True:
        time.sleep(0.02)
        yield 7

left = read_ahead(items(), depth=1)
next(left)
child = os.fork()
if not child:
    sys.exit(3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
left.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "3\n"


def test_as_python_ends_all_threads_end_before_it_stops_them() -> None:
    """Else whoever is closed later than that waits for one of them for ever."""
    script = """
import atexit
import threading
import time

atexit.register(lambda: print(threading.active_count(), flush=True))  # the last to be called
from emoscan.ahead import read_ahead

def items():
    while True:
        time.sleep(0.02)
        yield 7

left = read_ahead(items(), depth=1)
print(next(left), threading.active_count(), flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("7 2\n1\n", "")
