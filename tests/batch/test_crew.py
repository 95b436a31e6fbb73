"""Who works side by side, and how it ends."""

import threading
import time

import pytest

from emoscan.batch import crew as crew_module
from emoscan.batch.crew import Crew


def nothing(_) -> None:
    pass


def test_each_task_is_done_once_and_side_by_side() -> None:
    done, both = [], threading.Barrier(2, timeout=10)

    def task(number: int):
        def work(tool: str) -> bool:
            if number < 2:
                both.wait()  # neither gets on without the other
            done.append(number)
            return True

        return work

    Crew(["a", "b"], take_away=nothing).run([task(number) for number in range(5)])
    assert sorted(done) == list(range(5))


def test_after_a_task_that_says_no_none_begins() -> None:
    done: list[int] = []
    tasks = [lambda _, n=number: done.append(n) or n < 1 for number in range(4)]
    Crew([None], take_away=nothing).run(tasks)
    assert done == [0, 1]


def test_what_a_task_raises_stops_the_others_and_is_raised() -> None:
    crew: Crew[str] = Crew(["a", "b"], take_away=nothing)
    stopped, begun = [], threading.Event()

    def long(_: str) -> bool:
        begun.set()
        try:
            while True:
                crew.look()
                time.sleep(0.01)
        except BaseException as error:
            stopped.append(type(error).__name__)
            raise

    def fails(_: str) -> bool:
        begun.wait(10)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        crew.run([long, fails])
    assert stopped == ["StoppedError"]


def test_who_hangs_has_the_tool_taken_away(monkeypatch) -> None:
    monkeypatch.setattr(crew_module, "GRACE_S", 0.1)
    taken = threading.Event()
    crew: Crew[threading.Event] = Crew([taken], take_away=lambda tool: tool.set())
    ended = []

    def hangs(tool: threading.Event) -> bool:
        assert tool.wait(20)
        ended.append(True)
        crew.look()
        return True

    def interrupted(patience_s: float | None) -> bool:
        if patience_s is None:
            raise KeyboardInterrupt
        return wait(patience_s)

    wait = crew._wait
    monkeypatch.setattr(crew, "_wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        crew.run([hangs])
    assert ended == [True]


def test_who_hangs_for_good_is_left_behind(monkeypatch) -> None:
    monkeypatch.setattr(crew_module, "GRACE_S", 0.05)
    monkeypatch.setattr(crew_module, "LAST_S", 0.05)
    for_good = threading.Event()
    crew: Crew[None] = Crew([None], take_away=nothing)
    wait = crew._wait

    def interrupted(patience_s: float | None) -> bool:
        if patience_s is None:
            raise KeyboardInterrupt
        return wait(patience_s)

    monkeypatch.setattr(crew, "_wait", interrupted)
    began_s = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        crew.run([lambda _: for_good.wait(60)])
    assert time.monotonic() - began_s < 30
    for_good.set()
