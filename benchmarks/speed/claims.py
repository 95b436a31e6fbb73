"""What emoscan claims about its speed, and what it costs: each target beside what was measured."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.speed.protocol import Answer
from benchmarks.speed.results import Results
from benchmarks.speed.subjects import VARIANTS

# A figure of one variant, None where it was not measured.
Figure = Callable[[Results, str], float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One row: `variant` is whose figure has to reach `limit`, or stay below it.

    `beside` are the variants that the title is true of.
    """

    title: str
    limit: float
    figure: Figure
    unit: str
    at_least: bool = True
    variant: str = "default"
    beside: tuple[str, ...] = tuple(VARIANTS)

    @property
    def target(self) -> str:
        """The limit in words."""
        return f"{'≥' if self.at_least else '≤'} {in_words(self.limit, self.unit, digits=False)}"

    def verdict(self, results: Results) -> str:
        """Whether the target is met."""
        value = self.figure(results, self.variant)
        if value is None:
            return "not measured"
        is_met = value >= self.limit if self.at_least else value <= self.limit
        return "met" if is_met else "**missed**"


def in_words(value: float, unit: str, *, digits: bool = True) -> str:
    """A figure with its unit; without `digits` as short as it is exact."""
    if unit == "%":
        return f"{100 * value:.2f} %" if digits else f"{100 * value:g} %"
    return f"{value:.1f} {unit}" if digits else f"{value:g} {unit}"


def times_faster(clip: str, peer: str) -> Figure:
    """The ratio of the medians of frames a second."""

    def figure(results: Results, variant: str) -> float | None:
        ours, theirs = results.rate(clip, variant), results.rate(clip, peer)
        return ours / theirs if ours and theirs else None

    return figure


def found(clip: str, name: str) -> Figure:
    """Recall, precision or agreement with the reference."""
    return lambda results, variant: results.get("quality", clip, variant, name)


def peak_mb(results: Results, variant: str) -> float | None:
    """The highest peak of any fresh process that scanned a video of one face."""
    peak: float | None = results.get("memory", "variants", variant, "peak_mb")
    of_lengths = _peaks_of_lengths(results) if variant == "default" else []
    return peak and max(peak, *of_lengths, 0.0)


def growth_mb(results: Results, variant: str) -> float | None:
    """What the peak grows by from the short to the long video."""
    peaks = _peaks_of_lengths(results)
    return peaks[-1] - peaks[0] if variant == "default" and len(peaks) > 1 else None


def utilisation(results: Results, variant: str) -> float | None:
    """The share of all cores' time in which they worked for the scan of the longest video."""
    scans = _scans_of_lengths(results)
    return scans[-1].get("utilisation") if variant == "default" and scans else None


def _peaks_of_lengths(results: Results) -> list[float]:
    return [scan["peak_mb"] for scan in _scans_of_lengths(results)]


def _scans_of_lengths(results: Results) -> list[Answer]:
    lengths = results.get("memory", "lengths") or []
    return [length["peak"] for length in lengths if length["peak"]]


def claims(results: Results) -> list[Claim]:
    """Every row; the lengths of the long videos are those of this run."""
    return [*_rates(), *_stride_1_rates(), *_quality(), *_memory(results)]


def _rates() -> list[Claim]:
    talking, street = "one face, 720p, min face 40 px", "crowd, 720p, min face 40 px"
    fer, plain = "against `fer` with MTCNN as it comes", "against the plain loop"
    fer_40 = "against `fer` with MTCNN at 40 px too"
    return [
        Claim(title=f"{where}, {whom}", limit=limit, unit="×", figure=times_faster(clip, peer))
        for where, whom, limit, clip, peer in (
            (talking, fer, 30, "talking", "fer"),
            (talking, fer_40, 30, "talking", "fer_40"),
            (talking, plain, 20, "talking", "plain"),
            (street, fer, 20, "street", "fer"),
            (street, fer_40, 20, "street", "fer_40"),
            (street, plain, 10, "street", "plain"),
            ("photos", plain, 4, "photos", "plain"),
        )
    ] + [
        Claim(
            title="one face, 720p, share of the speed of decoding alone",
            limit=0.35,
            unit="%",
            figure=times_faster("talking", "decode"),
        )
    ]


def _stride_1_rates() -> list[Claim]:
    return [
        Claim(
            title=f"{where}, every frame detected, against the plain loop",
            limit=3,
            unit="×",
            figure=times_faster(clip, "plain"),
            variant="stride_1",
            beside=("stride_1", "stride_1_torch"),
        )
        for where, clip in (("one face", "talking"), ("crowd", "street"))
    ]


def _quality() -> list[Claim]:
    clips = (
        ("one face", "talking", 0.995, 0.97),
        ("crowd, 720p", "street", 0.97, 0.93),
        ("crowd, 1080p", "street_1080p", 0.97, 0.93),
    )
    return [
        Claim(
            title=f"{where}: {name} of boxes (IoU ≥ 0.5) against every frame detected",
            limit=limit,
            unit="%",
            figure=found(clip, name),
        )
        for where, clip, limit, _ in clips
        for name in ("recall", "precision")
    ] + [
        Claim(
            title=f"{where}: same class as every frame detected in fp32{_which(clip)}",
            limit=limit,
            unit="%",
            figure=found(clip, "agreement"),
        )
        for where, clip, _, limit in clips
    ]


def _which(clip: str) -> str:
    return "" if clip == "talking" else ", faces of 40 px and more"


def _memory(results: Results) -> list[Claim]:
    minutes = [f"{length['minutes']:g}" for length in results.get("memory", "lengths") or []]
    return [
        Claim(title="peak memory, 720p", limit=1500, unit="MB", figure=peak_mb, at_least=False),
        Claim(
            title=f"its growth between {' and '.join(minutes) or 'short and long'} min of video",
            limit=20,
            unit="MB",
            figure=growth_mb,
            at_least=False,
        ),
        Claim(
            title=f"utilisation of all cores, {minutes[-1] if minutes else 'many'} min of video",
            limit=0.85,
            unit="%",
            figure=utilisation,
        ),
    ]
