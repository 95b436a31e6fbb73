import io
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from emoscan.errors import MediaError
from emoscan.media import images
from emoscan.media.find import MediaFile
from emoscan.media.images import photo_size, read_photo
from emoscan.media.picture import MAX_PIXELS
from emoscan.media_kind import MediaKind
from emoscan.options import MinFace
from tests.clips import write_heic
from tests.real_data import MEDIA

RED, GREEN, BLUE, WHITE = (200, 30, 40), (30, 180, 60), (40, 60, 210), (250, 250, 250)


def corners(width: int = 64, height: int = 32) -> Image.Image:
    """Red and green above, blue and white below."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2], pixels[: height // 2, width // 2 :] = RED, GREEN
    pixels[height // 2 :, : width // 2], pixels[height // 2 :, width // 2 :] = BLUE, WHITE
    return Image.fromarray(pixels)


def read(path: Path, min_face: MinFace | None = None):
    return read_photo(MediaFile(path, path.name), min_face=min_face)


def assert_corners(pixels, tolerance=12):
    for (y, x), colour in zip(
        ((4, 4), (4, -5), (-5, 4), (-5, -5)), (RED, GREEN, BLUE, WHITE), strict=True
    ):
        assert np.abs(pixels[y, x].astype(int) - colour).max() <= tolerance


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff", "bmp", "avif"])
def test_formats(tmp_path, suffix):
    path = tmp_path / f"größe.{suffix}"
    corners().save(path)
    frame = read(path)
    assert (frame.source, frame.index, frame.time_s) == (path.name, 0, None)
    assert (frame.width, frame.height) == (64, 32)
    assert frame.rgb().shape == (32, 64, 3)
    assert frame.rgb(0.5).shape == (16, 32, 3)
    assert frame.gray().shape == (32, 64)
    assert_corners(frame.rgb())


def test_first_picture_of_a_gif(tmp_path):
    path = tmp_path / "a.gif"
    corners().save(path, save_all=True, append_images=[Image.new("RGB", (64, 32))])
    assert_corners(read(path).rgb())


def test_heic(tmp_path):
    write_heic(tmp_path / "a.heic", np.asarray(corners(128, 64)))
    frame = read(tmp_path / "a.heic")
    assert (frame.width, frame.height) == (128, 64)
    assert_corners(frame.rgb())
    content = (tmp_path / "a.heic").read_bytes()
    (tmp_path / "cut.heic").write_bytes(content[: len(content) - 100])
    with pytest.raises(MediaError, match=r"cut\.heic cannot be read"):
        read(tmp_path / "cut.heic")


@pytest.mark.parametrize("strip_px", [1, 5 * 64, 2**20])
def test_strips_make_the_whole_photo(tmp_path, monkeypatch, strip_px) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    monkeypatch.setattr(images, "STRIP_PX", strip_px)
    pixels = read(tmp_path / "a.png").rgb()
    assert np.array_equal(pixels, noise) and pixels.flags.writeable


def test_the_size_is_in_the_first_bytes(tmp_path) -> None:
    corners(64, 32).save(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:-20])
    (tmp_path / "b.png").write_bytes(b"broken")
    sizes = [photo_size(MediaFile(tmp_path / name, name)) for name in ("a.jpg", "b.png", "c.png")]
    assert sizes == [(64, 32), (1, 1), (1, 1)]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, orientation):
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = corners() if orientation == 1 else corners().transpose(undo[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.jpg", exif=exif, quality=95)
    frame = read(tmp_path / "a.jpg")
    assert (frame.width, frame.height) == (64, 32)
    assert_corners(frame.rgb(), 20)


@pytest.mark.parametrize(
    ("min_face", "shrunk"),
    [
        (None, 1),
        (MinFace(px=255), 1),
        (MinFace(px=256), 2),
        (MinFace(px=512), 4),
        (MinFace(px=4000), 8),
        (MinFace(share=0.41), 1),
        (MinFace(share=0.42), 2),
        (MinFace(share=1), 4),
    ],
)
def test_jpegs_are_read_smaller_where_only_large_faces_count(tmp_path, min_face, shrunk) -> None:
    corners(801, 613).save(tmp_path / "a.jpg", quality=95)
    frame = read(tmp_path / "a.jpg", min_face)
    assert frame.shrunk == shrunk
    assert (frame.width, frame.height) == (-(-801 // shrunk), -(-613 // shrunk))
    size = photo_size(MediaFile(tmp_path / "a.jpg", "a.jpg"), min_face=min_face)
    assert size == (frame.width, frame.height)
    assert_corners(frame.rgb())
    whole = read(tmp_path / "a.jpg").rgb(1 / shrunk).astype(int)
    height, width = whole.shape[0] - 1, whole.shape[1] - 1  # ends that are no whole pixel
    assert np.abs(frame.rgb()[:height, :width] - whole[:height, :width]).mean() < 2


def test_a_turned_jpeg_is_as_high_as_it_is_shown(tmp_path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    corners(800, 400).transpose(Image.Transpose.ROTATE_90).save(tmp_path / "a.jpg", exif=exif)
    frame = read(tmp_path / "a.jpg", MinFace(share=0.35))  # 140 px; of 800 it would be 280
    assert (frame.width, frame.height, frame.shrunk) == (800, 400, 1)
    frame = read(tmp_path / "a.jpg", MinFace(share=0.65))
    assert (frame.width, frame.height, frame.shrunk) == (400, 200, 2)
    assert_corners(frame.rgb(), 20)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_jpeg_is_read_smaller_where_nothing_is_left_over(tmp_path, orientation) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    for width, height, shrunk in ((800, 808, 8), (800, 804, 4), (801, 808, 1)):
        corners(width, height).save(tmp_path / "a.jpg", exif=exif)
        frame = read(tmp_path / "a.jpg", MinFace(px=4000))
        assert frame.shrunk == (shrunk if orientation > 1 else 8)


@pytest.mark.parametrize("name", ["a.png", "a.webp", "gray.jpg", "cmyk.jpg", "tiny.jpg", "mpo.jpg"])
def test_what_can_be_read_smaller(tmp_path, name) -> None:
    path = tmp_path / name
    modes = {"gray.jpg": "L", "cmyk.jpg": "CMYK"}
    image = corners(7, 5) if name == "tiny.jpg" else corners(640, 320)
    image = image.convert(modes.get(name, "RGB"))
    if name == "mpo.jpg":
        image.save(path, format="MPO", save_all=True, append_images=[image])
    else:
        image.save(path)
    frame = read(path, MinFace(px=512))
    assert frame.shrunk == (4 if path.suffix == ".jpg" else 1)
    assert frame.width == -(-image.width // frame.shrunk)
    assert frame.rgb().shape == (frame.height, frame.width, 3)


def test_a_jpeg_that_has_no_smaller_picture_is_read_whole(tmp_path) -> None:
    side, marker = 200, b"\xff"
    bits = [0, 0, 0, 9, *[0] * 12, *range(9)]  # nine codes of four bits: 0000 is “as before”
    segments = {
        0xC3: [8, *divmod(side, 256), *divmod(side, 256), 1, 1, 0x11, 0],  # lossless
        0xC4: [0, *bits],
        0xDA: [1, 1, 0, 1, 0, 0],
    }
    content = marker + b"\xd8"
    for kind, values in segments.items():
        content += marker + bytes([kind, 0, len(values) + 2, *values])
    (tmp_path / "a.jpg").write_bytes(content + bytes(side**2 // 2) + marker + b"\xd9")
    frame = read(tmp_path / "a.jpg", MinFace(px=400))
    assert (frame.width, frame.height, frame.shrunk) == (side, side, 1)
    assert np.all(frame.rgb() == 128)


def test_sixteen_bits_are_scaled(tmp_path):
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(8, 0)
    for name in ("a.png", "a.tiff"):
        Image.fromarray(ramp).save(tmp_path / name)
        gray = read(tmp_path / name).rgb()[0, :, 0]
        assert np.abs(gray.astype(int) - np.arange(256)).max() <= 1


@pytest.mark.parametrize(
    ("dtype", "white"), [(np.int32, 65535), (np.float32, 1), (np.float32, 255)]
)
def test_other_depths_are_scaled(tmp_path, dtype, white):
    ramp = (np.linspace(0, 1, 256) * white).astype(dtype)[None].repeat(8, 0)
    Image.fromarray(ramp).save(tmp_path / "a.tiff")
    gray = read(tmp_path / "a.tiff").rgb()[0, :, 0]
    assert np.abs(gray.astype(int) - np.arange(256)).max() <= 1


def test_alpha_lies_on_gray(tmp_path):
    image = corners().convert("RGBA")
    image.putpixel((0, 0), (255, 0, 0, 0))
    image.putpixel((1, 0), (255, 0, 0, 128))
    image.save(tmp_path / "a.png")
    pixels = read(tmp_path / "a.png").rgb()
    assert pixels[0, 0].tolist() == [128, 128, 128]
    assert np.abs(pixels[0, 1].astype(int) - (192, 64, 64)).max() <= 1
    assert_corners(pixels)


def test_palette_with_a_transparent_colour(tmp_path):
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, *RED])
    image.putpixel((0, 0), 0)
    image.save(tmp_path / "a.png", transparency=0)
    pixels = read(tmp_path / "a.png").rgb()
    assert pixels[0, 0].tolist() == [128, 128, 128]
    assert pixels[5, 5].tolist() == list(RED)


def test_cmyk_is_converted(tmp_path):
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=95)
    red = read(tmp_path / "a.jpg").rgb()[8, 8].astype(int)
    assert np.abs(red - (255, 0, 0)).max() <= 12


def test_gray_is_full_range_luma(tmp_path):
    corners().save(tmp_path / "a.png")
    gray = read(tmp_path / "a.png").gray()
    assert gray[4, 4] == round(0.299 * 200 + 0.587 * 30 + 0.114 * 40)


def test_truncated_is_refused(tmp_path):
    Image.effect_noise((200, 200), 90).save(tmp_path / "a.jpg")
    for name, suffix in (("jpg", "JPEG"), ("png", "PNG"), ("webp", "WEBP")):
        content = io.BytesIO()
        Image.effect_noise((200, 200), 90).convert("RGB").save(content, suffix)
        path = tmp_path / f"cut.{name}"
        path.write_bytes(content.getvalue()[:2000])
        with pytest.raises(MediaError, match=rf"cut\.{name} cannot be read: .+\."):
            read(path)


def test_bomb_is_refused(tmp_path, monkeypatch):
    corners().save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(MediaError, match="more pixels than is safe"):
        read(tmp_path / "a.png")


def test_the_limit_of_videos_is_that_of_photos():
    assert MAX_PIXELS == 2 * Image.MAX_IMAGE_PIXELS  # from there on Pillow refuses


@pytest.mark.filterwarnings("error")
def test_large_but_safe_is_read_without_a_word(tmp_path, monkeypatch):
    images._set_up_pillow.cache_clear()  # pytest gives each test its own filters
    corners().save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1100)
    assert read(tmp_path / "a.png").width == 64


def test_filters_set_by_others_meanwhile_stay(tmp_path, monkeypatch):
    corners().save(tmp_path / "a.png")
    read(tmp_path / "a.png")
    real = images._rgb

    def rgb(image):  # while a photo is read in one thread, another one sets a filter
        warnings.simplefilter("ignore", EncodingWarning)
        return real(image)

    monkeypatch.setattr(images, "_rgb", rgb)
    read(tmp_path / "a.png")
    assert ("ignore", None, EncodingWarning, None, 0) in warnings.filters


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"dear diary", "not a photo"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not a photo"),
    ],
)
def test_what_is_no_photo(tmp_path, content, words):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(MediaError, match=words):
        read(tmp_path / "a.jpg")


def test_missing_file(tmp_path):
    with pytest.raises(MediaError, match="no such file"):
        read(tmp_path / "a.jpg")


@pytest.mark.skipif(not MEDIA.is_dir(), reason="the real media are not here")
def test_real_photos():
    photos = [path for path in sorted(MEDIA.iterdir()) if path.suffix in MediaKind.PHOTO.suffixes]
    for path in photos:
        frame = read(path)
        assert frame.rgb().shape == (frame.height, frame.width, 3)
