import signal

import pytest

from emoscan.timeline.interrupts import undisturbed

NUMBERS = (signal.SIGINT, signal.SIGTERM)


class Terminated(BaseException):
    pass


def terminate(*_):
    raise Terminated


@pytest.fixture
def handlers():
    """What is called at first; afterwards too, whatever happens."""
    before = {number: signal.getsignal(number) for number in NUMBERS}
    signal.signal(signal.SIGTERM, terminate)
    yield {number: signal.getsignal(number) for number in NUMBERS}
    for number, handler in before.items():
        signal.signal(number, handler)


def installed():
    return {number: signal.getsignal(number) for number in NUMBERS}


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_waits_for_the_end(handlers, number):
    done = []
    with pytest.raises((KeyboardInterrupt, Terminated)), undisturbed():
        signal.raise_signal(number)
        done.append("the rest")
    assert done
    assert installed() == handlers


@pytest.mark.parametrize("call", range(4))
@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_between_two_handlers_leaves_none_behind(handlers, monkeypatch, number, call):
    calls, install = [], signal.signal

    def install_then_signal(*args):
        calls.append(args)
        before = install(*args)
        if len(calls) == call + 1:
            signal.raise_signal(number)
        return before

    monkeypatch.setattr(signal, "signal", install_then_signal)
    with pytest.raises((KeyboardInterrupt, Terminated)), undisturbed():
        pass
    assert installed() == handlers
