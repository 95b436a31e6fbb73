"""GPU.md, of what lies in the JSON and nothing else."""

from collections.abc import Iterator
from typing import Any

from benchmarks.gpu.bounds import layer_bounds, share_of_decoding, share_of_products
from benchmarks.speed.report import NOTHING, table
from benchmarks.speed.results import Results, median

PICTURE = "gpu.png"
WAYS = {
    "rows_stride_1": "every frame detected, to rows",
    "rows_followed": "followed between key frames, to rows",
    "detector": "detector alone",
    "classifier": "classifier alone",
    "plain": "plain loop",
}
PROMISED = "talking_720p"
# Of two speeds that are the same.
ALL_BUT_NOISE = 0.95


def render(results: Results) -> str:
    """The whole text."""
    parts = (
        _head(results),
        _targets(results),
        _frames(results),
        _classifier(results),
        _layers(results),
        _files(results),
        _parity(results),
        _memory(results),
        _rates(results),
        _skipped(results),
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def way_rates(results: Results, clip: str, way: str) -> list[float]:
    """Frames a second in each round, [] where there was none."""
    rates: list[float] = results.get("frames", "clips", clip, "ways", way, "rates") or []
    return rates


def _head(results: Results) -> str:
    run, about = results.get("run") or {}, results.get("machine") or {}
    rehearsal = "**A rehearsal on a few frames: its figures mean nothing.**\n\n"
    gpu = about.get("gpu")
    only = f" Of this run is only {', '.join(run['only'])}." if run.get("only") else ""
    note = f"\n\n{run['note']}" if run.get("note") else ""
    versions = (results.get("versions") or {}).items()
    rows = [
        ("GPU", _gpu(gpu) if gpu else "none"),
        ("driver", gpu.get("driver", NOTHING) if gpu else NOTHING),
        ("processor", f"{about.get('cpu', NOTHING)}, {about.get('cores', NOTHING)} cores"),
        ("load before the run", f"{about.get('load_before', 0):.2f}"),
        ("system", about.get("system", NOTHING)),
        ("versions", ", ".join(f"{name} {number}" for name, number in versions if number)),
    ]
    return f"""# Speed on a GPU

{rehearsal if run.get("quick") else ""}Written by `python -m benchmarks.gpu --media DIR` on \
{run.get("date", NOTHING)}; all figures are in [gpu.json](results/gpu.json).{only}
Networks are loaded before time is taken; where frames come from memory every shape has been met
once, too. Faces are looked for from 40 px on. `--hwaccel` is off where it is not named.{note}

{table(("machine", ""), rows)}"""


def _gpu(gpu: dict[str, Any]) -> str:
    words = [
        f"{gpu['name']}, {gpu['memory_mb'] / 1000:.0f} GB",
        f"{gpu['multiprocessors']} multiprocessors",
        f"compute capability {gpu['capability']}",
    ]
    if "most_clock_mhz" in gpu:
        words += [f"at most {gpu['most_clock_mhz']} MHz, {gpu['power_limit_w']:.0f} W"]
    return ", ".join(words)


def _targets(results: Results) -> str:
    ours = median(way_rates(results, PROMISED, "rows_stride_1"))
    plain = median(way_rates(results, PROMISED, "plain"))
    ratio = ours / plain if ours and plain else None
    rows = [
        _target("frames/s, every frame detected, one face, 720p", ours, 1500, form="{:,.0f}"),
        _target("the same against the plain loop on this GPU", ratio, 20, form="{:.1f} ×"),
    ]
    for part, words in (("same_crops", "the same crops"), ("whole_way", "GPU all the way")):
        of_part = results.get("parity", part) or {}
        rows += [
            _target(f"same class as in fp32: {words}", of_part.get("same_class"), 0.995),
            _target(f"probabilities within 0.02: {words}", of_part.get("within"), 0.99),
        ]
    largest = results.get("parity", "same_crops", "largest")
    title = "largest difference of probabilities: the same crops"
    rows.append(_target(title, largest, 0.08, form="{:.4f}", at_most=True))
    rows += [_from_files(results, streams) for streams in (1, 16)]
    header = ("", "target", "", "")
    return f"""## Targets

From decoded frames in memory to rows, where no files are named; the classes against torch in fp32
on the CPU. From files decoding is to be the only bound, which PyAV alone stands for, in the better
of its two ways below; emoscan's own decoder may be faster.

{table(header, rows)}"""


def _from_files(results: Results, streams: int) -> tuple[str, str, str, str]:
    """By one process, which is what a user starts."""
    shares = (
        share_of_decoding(found)
        for found in results.get("files") or []
        if found["name"] == f"{PROMISED} × {streams}, every frame"
    )
    title = f"files read at the same time: {streams}; share of the speed of decoding alone"
    return _target(title, next(shares, None), ALL_BUT_NOISE)


def _target(
    title: str, value: float | None, limit: float, *, form: str = "{:.2%}", at_most: bool = False
) -> tuple[str, str, str, str]:
    words = f"{'≤' if at_most else '≥'} {form.format(limit)}"
    if value is None:
        return title, words, "not measured", NOTHING
    met = value <= limit if at_most else value >= limit
    return title, words, "met" if met else "**missed**", form.format(value)


def _frames(results: Results) -> str:
    clips: dict[str, Any] = results.get("frames", "clips") or {}
    rows = [
        (found["title"], WAYS[way], *_way_cells(results, clip, way), f"{its['frames']}")
        for clip, found in clips.items()
        for way, its in found.get("ways", {}).items()
        if its["rates"]
    ]
    if not rows:
        return ""
    faces = [
        f"{found['title']} {found['faces'] / found['frames']:.1f} and {found['block_frames']}"
        for found in clips.values()
        if "faces" in found
    ]
    header = (
        "",
        "",
        "frames/s, median",
        "least to most",
        "× the plain loop",
        "processor, ms a frame",
        "frames",
    )
    return f"""## From frames in memory

Decoded RGB frames lie in pageable memory; every round hands in frames that were not seen before,
and all ways take their turns in it. A clip's frames make one video, in which they come again and
again where more are named than the clip has. The detector and the classifier alone have them anew,
each for itself. {_copy_told(results)}The plain loop is
facenet-pytorch's MTCNN and a ResNet18 on the same device. Faces a frame, and how many frames the
detector is given at once: {"; ".join(faces)}.

{table(header, rows)}

![Frames a second by stage and size](results/{PICTURE})"""


def _copy_told(results: Results) -> str:
    """How pixels get to the device, and what one of the ways would allow."""
    gb_s = results.get("rates", "copies_gb_s", "pageable")
    clip = results.get("frames", "clips", PROMISED) or {}
    if not gb_s or "width" not in clip:
        return ""
    most = gb_s * 1e9 / (3 * clip["width"] * clip["height"])
    return (
        "For these two the driver copies each frame when it is looked at, which by itself allowed "
        f"{most:,.0f} frames/s of 720p; on the way to rows threads copy frames ahead. "
    )


def _way_cells(results: Results, clip: str, way: str) -> tuple[str, str, str, str]:
    rates, plain = way_rates(results, clip, way), median(way_rates(results, clip, "plain"))
    middle = median(rates) or 0.0
    cpu_ms = median(results.get("frames", "clips", clip, "ways", way, "cpu_ms"))
    return (
        f"{middle:,.1f}",
        f"{min(rates):,.1f} to {max(rates):,.1f} in {len(rates)}",
        f"{middle / plain:.1f}" if plain else NOTHING,
        f"{cpu_ms:.2f}",
    )


def _classifier(results: Results) -> str:
    precisions: dict[str, Any] = results.get("classifier", "precisions") or {}
    rows = [
        (
            precision,
            batch,
            *(f"{rates[name]:,.0f}" for name in ("network", "classify_crops")),
            *_share_cells(results, precision, rates["network"]),
        )
        for precision, found in precisions.items()
        for batch, rates in found["batches"].items()
    ]
    if not rows:
        return ""
    header = (
        "",
        "batch",
        "network, images/s",
        "`classify_crops`, images/s",
        "TFLOP/s",
        "of a product's rate",
    )
    return f"""## The classifier

ResNet18 on gray crops of 48 px: {results.get("classifier", "operations") / 1e6:.0f} million \
operations an image. The network gets normalised levels that are on the device already;
`classify_crops` gets gray levels in the CPU's memory, and computes in batches of its own.

{table(header, rows)}"""


def _share_cells(results: Results, precision: str, images_per_s: float) -> tuple[str, str]:
    tflops = images_per_s * float(results.get("classifier", "operations")) / 1e12
    share = share_of_products(results, precision, tflops=tflops)
    return f"{tflops:.2f}", NOTHING if share is None else f"{share:.1%}"


def _layers(results: Results) -> str:
    precisions: dict[str, Any] = results.get("classifier", "precisions") or {}
    parts = [
        _layers_of(results, precision)
        for precision, found in precisions.items()
        if "profile" in found
    ]
    return "\n\n".join(parts)


def _layers_of(results: Results, precision: str) -> str:
    found = results.get("classifier", "precisions", precision)
    profile = found["profile"]
    rate = found["batches"][str(profile["batch"])]["network"]
    rows = [
        (
            bound.kind,
            f"{bound.ms:.3f}",
            f"{bound.ms / profile['total_ms']:.1%}",
            _number(bound.mflop, "{:.1f}"),
            _number(bound.intensity, "{:.3g}"),
            _number(bound.least_ms, "{:.3f}"),
            bound.bound_by or NOTHING,
        )
        for bound in layer_bounds(results, precision)
    ]
    kernels = [
        (f"`{kernel['name'][:100].replace('|', ' ')}`", f"{kernel['ms']:.3f}", _share(kernel))
        for kernel in profile["kernels"]
    ]
    header = (
        "layers",
        "ms a batch",
        "share",
        "Mflop an image",
        "operations a byte",
        "least ms",
        "bound by",
    )
    return f"""### Layer by layer in {precision}, {profile["batch"]} images at once

By torch's profiler the kernels take {profile["total_ms"]:.2f} ms a batch, of \
{1000 * profile["batch"] / rate:.2f} ms that pass without it.
The least is the longer of two: the operations at the rate of a large product, and the numbers that
each layer reads and writes, by itself, at the rate of a copy within the device.

{table(header, rows)}

{table(("kernel", "ms a batch", "share"), kernels)}"""


def _number(value: float | None, form: str) -> str:
    return NOTHING if value is None else form.format(value)


def _share(kernel: dict[str, Any]) -> str:
    return f"{kernel['share']:.1%}"


def _files(results: Results) -> str:
    found: list[dict[str, Any]] = results.get("files") or []
    if not found:
        return ""
    rows = [_file_row(each) for each in found]
    notes = sorted({note for each in found for note in each["notes"]})
    header = (
        "",
        "frames",
        "frames/s",
        "decoding alone: own threads",
        "one thread each",
        "share of the faster",
        "processor, ms a frame",
        "GPU busy",
        "decoded by",
    )
    told = "\n".join(f"- {note}" for note in notes)
    return f"""## From files

From the first file's turn to the last table's end, by `emoscan.scan`; streams are analysed at the
same time (`--workers`), each decoded by a process of its own. Decoding alone is PyAV to RGB in as
many processes, with the threads that FFmpeg likes or with one. GPU busy is the share of time in
which NVML saw any kernel run.

{table(header, rows)}

{f"What was said meanwhile:{chr(10)}{chr(10)}{told}" if told else ""}""".rstrip()


def _file_row(found: dict[str, Any]) -> tuple[str, ...]:
    decoded_by = ", ".join(f"{by} ({count})" for by, count in found.get("decoded_by", {}).items())
    gpu = found["gpu"]
    return (
        found["name"],
        f"{found['frames']:,}",
        f"{found['rate']:,.1f}",
        f"{found['decode_auto']:,.1f}",
        f"{found['decode_single']:,.1f}",
        f"{share_of_decoding(found):.0%}",
        f"{found['cpu_ms']:.2f}",
        f"{gpu['utilisation']:.0%}" if gpu else NOTHING,
        decoded_by or NOTHING,
    )


def _parity(results: Results) -> str:
    found = results.get("parity")
    if not found:
        return ""
    rows = [
        (words, f"{its['faces']:,}", *_agreement_cells(its))
        for part, words in (
            ("same_crops", "classifier, on the same crops"),
            ("whole_way", "detector, crops and classifier, faces that both find"),
        )
        if (its := found.get(part))
    ]
    header = ("", "faces", "same class", "within 0.02", "largest difference")
    whole = "" if found["is_whole"] else " (all that the time allowed)"
    return f"""## Whether it finds the same

Against torch in fp32 on the CPU: photos and every {found["every"]}th frame of the videos, \
{found["frames"]} pictures{whole}. {_boxes_told(found.get("boxes"))}

{table(header, rows)}"""


def _agreement_cells(its: dict[str, float]) -> tuple[str, str, str]:
    return f"{its['same_class']:.2%}", f"{its['within']:.2%}", f"{its['largest']:.4f}"


def _boxes_told(boxes: dict[str, Any] | None) -> str:
    if not boxes or not boxes["matched"]:
        return "Boxes were not compared."
    return (
        f"Of {boxes['reference']:,} boxes {boxes['recall']:.2%} are found (IoU ≥ 0.5), and of "
        f"{boxes['found']:,} found {boxes['precision']:.2%} are the reference's. Their sides "
        f"differ by {boxes['median_px']:.3f} px in the median, {boxes['p99_px']:.3f} px in the "
        f"99th percentile, {boxes['most_px']:.2f} px at most."
    )


def _memory(results: Results) -> str:
    rows = list(_memory_rows(results))
    header = ("", "tensors at their peak, MB", "kept by torch, MB", "on the card, MB")
    return f"## Memory of the device\n\n{table(header, rows)}" if rows else ""


def _memory_rows(results: Results) -> Iterator[tuple[str, ...]]:
    for found in (results.get("frames", "clips") or {}).values():
        for way, its in found.get("ways", {}).items():
            if its.get("memory"):
                yield f"{found['title']}: {WAYS[way]}", *_memory_cells(its["memory"]), NOTHING
    for found in results.get("files") or []:
        used = f"{found['gpu']['used_mb']:,.0f}" if found["gpu"] else NOTHING
        if found["memory"] or found["gpu"]:
            yield f"files: {found['name']}", *_memory_cells(found["memory"]), used


def _memory_cells(memory: dict[str, float]) -> tuple[str, str]:
    allocated, reserved = (
        _number(memory.get(name), "{:,.0f}") for name in ("allocated_mb", "reserved_mb")
    )
    return allocated, reserved


def _rates(results: Results) -> str:
    rates = results.get("rates")
    if not rates:
        return ""
    products = [
        (f"product of {rates['product_side']}², {name}", f"{tflops:,.4g} TFLOP/s")
        for name, tflops in rates["products_tflops"].items()
    ]
    titles = {
        "pinned": "copy to the device from pinned memory",
        "pageable": "copy to the device from pageable memory",
        "device": "copy within the device (read and written once each)",
    }
    copies = [
        (titles[name], f"{gb_s:,.1f} GB/s") for name, gb_s in rates.get("copies_gb_s", {}).items()
    ]
    return f"## What this machine can do\n\n{table(('', ''), [*products, *copies])}"


def _skipped(results: Results) -> str:
    # Of an error the first line alone: the JSON has the rest.
    lines = [
        f"- {name}: {why.splitlines()[0]}" for name, why in (results.get("skipped") or {}).items()
    ]
    return "\n".join(["## Not measured\n", *lines]) if lines else ""
