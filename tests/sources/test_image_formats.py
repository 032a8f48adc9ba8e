"""Every format and pixel mode, against values computed by hand."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
from PIL import Image, features

from vultus.errors import ImageDamagedError, ImageFormatError, MissingExtraError
from vultus.sources import load_image


def check_house_rules(image):
    assert image.dtype == np.uint8
    assert image.ndim == 3
    assert image.shape[2] == 3
    assert image.flags.c_contiguous
    assert image.flags.writeable


def over_white(colour, alpha):
    """Exact: round((c·a + 255·(255 - a)) / 255)."""
    colour, alpha = np.asarray(colour, int), np.asarray(alpha, int)
    return ((2 * (colour * alpha + 255 * (255 - alpha)) + 255) // 510).astype(np.uint8)


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("PNG", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "tiff_deflate"}),
        ("TIFF", {"compression": "packbits"}),
        ("TIFF", {"big_tiff": True}),
        ("WEBP", {"lossless": True}),
        ("GIF", {}),
    ],
)
def test_lossless_formats_return_the_very_pixels(encode, noise, form, options):
    image = load_image(encode(noise, form, **options))
    check_house_rules(image)
    np.testing.assert_array_equal(image, noise)


@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_is_close_to_the_pixels(encode, progressive):
    flat = np.full((16, 24, 3), (200, 30, 90), np.uint8)
    image = load_image(encode(flat, "JPEG", quality=100, subsampling=0, progressive=progressive))
    check_house_rules(image)
    assert image.shape == (16, 24, 3)
    assert np.abs(image.astype(int) - flat).max() <= 2


def test_jpeg_grey_is_exact(encode):
    image = load_image(encode(np.full((8, 8), 77, np.uint8), "JPEG", quality=100))
    np.testing.assert_array_equal(image, np.full((8, 8, 3), 77))


def test_rows_beyond_one_band_arrive_in_order(encode):
    # 40000 columns make a band of 8 rows: 20 rows need three, the last one short.
    tall = np.arange(20, dtype=np.uint8)[:, None, None] * np.ones((1, 40000, 3), np.uint8)
    np.testing.assert_array_equal(load_image(encode(tall, "PNG", compress_level=1)), tall)


@pytest.mark.parametrize(
    ("ink", "expected"),
    [
        ((0, 0, 0, 0), (255, 255, 255)),
        ((0, 255, 255, 0), (255, 0, 0)),
        ((255, 0, 0, 0), (0, 255, 255)),
        ((0, 0, 0, 255), (0, 0, 0)),
        ((0, 0, 0, 55), (200, 200, 200)),
    ],
)
@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_cmyk_and_adobes_inverted_jpeg(encode, ink, expected, form):
    options = {"quality": 100, "subsampling": 0} if form == "JPEG" else {}
    image = load_image(encode(Image.new("CMYK", (8, 8), ink), form, **options))
    assert np.abs(image.astype(int) - expected).max() <= (3 if form == "JPEG" else 0)


def test_ycck_jpeg(encode):
    # Pillow writes CMYK inverted with Adobe transform 0. With transform 2 the same bytes mean
    # YCCK: stored Y 55, Cb = Cr 128, K 255 is ink C = M = Y = 55 without black, so grey 200.
    data = encode(Image.new("CMYK", (8, 8), (200, 127, 127, 0)), "JPEG", quality=100, subsampling=0)
    at = data.index(b"Adobe") + 11
    assert data[at] == 0
    image = load_image(data[:at] + b"\x02" + data[at + 1 :])
    assert np.abs(image.astype(int) - 200).max() <= 2


# value -> round(value / 257)
DEEP = {0: 0, 128: 0, 129: 1, 257: 1, 32639: 127, 32767: 127, 32768: 128, 65406: 254, 65535: 255}


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_16_bit_grey_rounds_to_8(encode, form):
    row = np.array([list(DEEP)], np.uint16)
    image = load_image(encode(row, form))
    np.testing.assert_array_equal(image, np.array([[[v] * 3 for v in DEEP.values()]]))


def test_16_bit_grey_big_endian():
    row = np.array([list(DEEP)], ">u2")
    picture = Image.frombytes("I;16B", (row.size, 1), row.tobytes())
    np.testing.assert_array_equal(load_image(picture)[0, :, 1], list(DEEP.values()))


def test_32_bit_grey_within_16_bits(encode):
    row = np.array([list(DEEP)], np.int32)
    np.testing.assert_array_equal(load_image(encode(row, "TIFF"))[0, :, 0], list(DEEP.values()))


@pytest.mark.parametrize("value", [-1, 65536, 2**31 - 1])
def test_32_bit_grey_beyond_16_bits_is_refused(encode, value):
    with pytest.raises(ImageFormatError, match=r"32-bit pixels outside 0..65535"):
        load_image(encode(np.array([[0, value]], np.int32), "TIFF"))


def test_floating_point_is_refused(encode):
    with pytest.raises(ImageFormatError, match=r"floating-point pixels.*scale them to 0..255"):
        load_image(encode(np.array([[0.0, 0.5]], np.float32), "TIFF"))


def test_16_bit_colour_png_keeps_the_high_byte(raw_png):
    data = raw_png(1, 1, 16, 2, b"\x00" + bytes.fromhex("12ff 8000 fffe"))
    np.testing.assert_array_equal(load_image(data), [[[0x12, 0x80, 0xFF]]])


def test_one_bit(encode):
    picture = Image.fromarray(np.array([[0, 255, 255]], np.uint8)).convert("1")
    for form in ("PNG", "BMP", "TIFF"):
        np.testing.assert_array_equal(
            load_image(encode(picture, form)), [[[0] * 3, [255] * 3, [255] * 3]]
        )


def test_grey(encode):
    row = np.array([[0, 1, 254, 255]], np.uint8)
    for form in ("PNG", "BMP", "TIFF", "GIF"):
        np.testing.assert_array_equal(load_image(encode(row, form)), np.dstack([row] * 3))


def test_rgba_is_laid_over_white_exactly(encode):
    colour, alpha = np.meshgrid(np.arange(256), np.arange(256))
    rgba = np.dstack([colour, colour, colour, alpha]).astype(np.uint8)
    expected = np.dstack([over_white(colour, alpha)] * 3)
    np.testing.assert_array_equal(load_image(encode(rgba, "PNG")), expected)
    np.testing.assert_array_equal(load_image(rgba), expected)


def test_grey_with_alpha(encode):
    la = np.array([[[10, 255], [10, 128], [10, 0]]], np.uint8)
    expected = over_white(la[..., 0], la[..., 1])
    np.testing.assert_array_equal(load_image(encode(la, "PNG")), np.dstack([expected] * 3))


def palette_picture():
    picture = Image.new("P", (3, 1))
    picture.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    picture.putdata([0, 1, 2])
    return picture


@pytest.mark.parametrize("form", ["PNG", "GIF", "BMP", "TIFF"])
def test_palette(encode, form):
    np.testing.assert_array_equal(
        load_image(encode(palette_picture(), form)), [[[10, 20, 30], [40, 50, 60], [70, 80, 90]]]
    )


@pytest.mark.parametrize("form", ["PNG", "GIF"])
def test_palette_with_one_transparent_entry(encode, form):
    np.testing.assert_array_equal(
        load_image(encode(palette_picture(), form, transparency=1)),
        [[[10, 20, 30], [255, 255, 255], [70, 80, 90]]],
    )


def test_palette_with_alpha_per_entry(encode):
    image = load_image(encode(palette_picture(), "PNG", transparency=b"\x80\x00\xff"))
    expected = [over_white([10, 20, 30], 128), [255] * 3, [70, 80, 90]]
    np.testing.assert_array_equal(image, [expected])


def test_grey_and_colour_with_a_transparent_value(encode):
    grey = encode(np.array([[5, 6]], np.uint8), "PNG", transparency=5)
    np.testing.assert_array_equal(load_image(grey), [[[255] * 3, [6] * 3]])
    colour = encode(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8), "PNG", transparency=(1, 2, 3))
    np.testing.assert_array_equal(load_image(colour), [[[255] * 3, [4, 5, 6]]])


@pytest.mark.parametrize("mode", ["YCbCr", "HSV", "RGBa", "La", "PA", "RGBX", "LAB"])
def test_modes_that_only_pillow_pictures_have(mode):
    white = {"YCbCr": (255, 128, 128), "HSV": (0, 0, 255), "LAB": (255, 128, 128)}
    if mode == "PA":
        picture = Image.new("LA", (2, 2), (255, 255)).convert("PA")
    elif mode in {"RGBa", "La"}:
        picture = Image.new(mode[:-1] + "A", (2, 2), "white").convert(mode)
    else:
        picture = Image.new(mode, (2, 2), white.get(mode, (255, 255, 255, 255)))
    assert picture.mode == mode
    np.testing.assert_allclose(load_image(picture), np.full((2, 2, 3), 255), atol=1)


@pytest.mark.parametrize("form", ["GIF", "PNG", "TIFF", "WEBP"])
def test_first_frame_of_several(form):
    red, blue = (Image.new("RGB", (4, 4), c) for c in ("red", "blue"))
    stream = io.BytesIO()
    options = {"lossless": True} if form == "WEBP" else {}
    red.save(stream, form, save_all=True, append_images=[blue], **options)
    np.testing.assert_array_equal(load_image(stream.getvalue()), np.full((4, 4, 3), (255, 0, 0)))


def test_gif_frame_smaller_than_its_screen():
    # A 1x1 frame at (1, 0) of a 3x1 screen, palette black and white, pixel 1. No background
    # is declared transparent; Pillow fills the rest with entry 0.
    data = (
        b"GIF89a\x03\x00\x01\x00\x80\x00\x00" + b"\x00\x00\x00\xff\xff\xff"
        b",\x01\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x4c\x01\x00;"
    )
    np.testing.assert_array_equal(load_image(data), [[[0] * 3, [255] * 3, [0] * 3]])


def test_old_multi_picture_jpeg_gives_its_first_picture(encode, noise):
    stream = io.BytesIO()
    first = Image.fromarray(noise)
    first.save(stream, "MPO", save_all=True, append_images=[Image.new("RGB", (7, 5))])
    np.testing.assert_array_equal(load_image(stream.getvalue()), load_image(encode(first, "JPEG")))


@pytest.mark.skipif(
    "avif" not in features.get_supported(), reason="this Pillow was built without AVIF"
)
def test_avif(encode):
    flat = np.full((16, 16, 3), (200, 30, 90), np.uint8)
    data = encode(flat, "AVIF", quality=100, subsampling="4:4:4")
    for brand in (b"avif", b"mif1"):  # the general brand names AVIF among the compatible ones
        image = load_image(data[:8] + brand + data[12:])
        assert np.abs(image.astype(int) - flat).max() <= 3


def test_avif_without_decoder_says_so(encode, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL.AvifImagePlugin", None)
    monkeypatch.delattr("PIL.AvifImagePlugin", raising=False)
    with pytest.raises(ImageFormatError, match=r"AVIF, which Pillow reads since version 11.3"):
        load_image(b"\x00\x00\x00\x18ftypavif\x00\x00\x00\x00mif1miaf")


def heic(pixels, **options):
    pillow_heif = pytest.importorskip(
        "pillow_heif", reason="the extra heic (pillow-heif) is not installed"
    )
    stream = io.BytesIO()
    try:
        pillow_heif.from_pillow(Image.fromarray(pixels)).save(stream, quality=-1, **options)
    except RuntimeError:
        pytest.skip("this pillow-heif has no HEVC encoder to make the test picture")
    return stream.getvalue()


def test_heic():
    rows = np.repeat(np.array([0, 60, 120, 180, 240], np.uint8), 16)
    pixels = np.dstack([np.tile(rows[:, None], (1, 64))] * 3)
    image = load_image(heic(pixels, chroma=444))
    check_house_rules(image)
    assert image.shape == (80, 64, 3)
    assert np.abs(image.astype(int) - pixels).max() <= 2


def test_heic_with_alpha():
    rgba = np.full((64, 64, 4), (0, 0, 0, 255), np.uint8)
    rgba[:, 32:, 3] = 0
    image = load_image(heic(rgba))
    assert image[:, :30].max() <= 4
    assert image[:, 34:].min() >= 251


def test_heic_does_not_change_pillow():
    data = heic(np.zeros((64, 64, 3), np.uint8))
    before = (dict(Image.OPEN), dict(Image.EXTENSION))
    load_image(data)
    assert before == (Image.OPEN, Image.EXTENSION)


def test_heic_cut_short():
    data = heic(np.zeros((64, 64, 3), np.uint8))
    for length in range(12, len(data), 37):
        with pytest.raises(ImageDamagedError):
            load_image(data[:length])


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"hevc", b"mif1", b"msf1"])
def test_heic_without_the_extra_names_it(monkeypatch, tmp_path, brand):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    path = tmp_path / "photo.heic"
    path.write_bytes(b"\x00\x00\x00\x18ftyp" + brand + b"\x00\x00\x00\x00heicmiaf")
    with pytest.raises(MissingExtraError, match=r"photo.heic is HEIC.*vultus\[heic\]") as caught:
        load_image(path)
    assert caught.value.code == "extra-missing"
    assert caught.value.fields == {"path": str(path), "extra": "heic"}
