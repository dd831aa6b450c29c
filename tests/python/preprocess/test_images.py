"""Picture files: every mode Pillow opens, and one clear line for what it cannot."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgecv.errors import Error
from edgecv.images import list_images, read_image

RED, WHITE = [255, 0, 0], [255, 255, 255]


def save(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def test_rgb(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    got = read_image(save(tmp_path / "a.png", Image.fromarray(pixels)))
    assert got.dtype == np.uint8
    assert got.flags.c_contiguous
    assert got.flags.writeable
    np.testing.assert_array_equal(got, pixels)
    np.testing.assert_array_equal(read_image(str(tmp_path / "a.png")), pixels)


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    image = Image.new("RGB", (32, 16), (0, 0, 0))
    image.paste((255, 255, 255), (0, 0, 16, 16))  # the left half
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned clockwise: what is left in the file is on top
    got = read_image(save(tmp_path / "a.jpg", image, exif=exif))
    assert got.shape == (32, 16, 3)
    assert got[:14].min() > 240
    assert got[18:].max() < 15


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    rgba = np.array([[[255, 0, 0, 255], [255, 0, 0, 0], [0, 0, 0, 128]]], np.uint8)
    got = read_image(save(tmp_path / "rgba.png", Image.fromarray(rgba)))
    assert got[0, :2].tolist() == [RED, WHITE]
    assert got[0, 2].tolist() == [127, 127, 127]

    la = Image.fromarray(np.array([[[10, 255], [10, 0]]], np.uint8))
    assert read_image(save(tmp_path / "la.png", la))[0].tolist() == [[10] * 3, WHITE]

    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putpixel((1, 0), 1)
    assert read_image(save(tmp_path / "p.png", palette))[0].tolist() == [RED, [0, 0, 255]]
    got = read_image(save(tmp_path / "pt.png", palette, transparency=1))
    assert got[0].tolist() == [RED, WHITE]
    got = read_image(save(tmp_path / "pb.png", palette, transparency=b"\xff\x00"))
    assert got[0].tolist() == [RED, WHITE]

    keyed = Image.fromarray(np.array([[[9, 8, 7], [1, 2, 3]]], np.uint8))
    got = read_image(save(tmp_path / "rgb.png", keyed, transparency=(1, 2, 3)))
    assert got[0].tolist() == [[9, 8, 7], WHITE]


def test_other_modes(tmp_path: Path) -> None:
    grey = Image.fromarray(np.array([[3, 200]], np.uint8))
    assert read_image(save(tmp_path / "l.png", grey))[0].tolist() == [[3] * 3, [200] * 3]
    bilevel = Image.new("1", (2, 1), 1)
    assert read_image(save(tmp_path / "1.png", bilevel))[0].tolist() == [WHITE, WHITE]
    wide = Image.fromarray(np.array([[0, 128, 129, 257 * 200, 65535]], np.uint16))
    levels = read_image(save(tmp_path / "16.png", wide))[0, :, 0]
    assert levels.tolist() == [0, 0, 1, 200, 255]
    cmyk = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    assert np.abs(read_image(save(tmp_path / "c.jpg", cmyk)).astype(int) - RED).max() <= 2
    assert read_image(save(tmp_path / "a.gif", grey)).shape == (1, 2, 3)


def test_unreadable_files(tmp_path: Path) -> None:
    whole = tmp_path / "whole.jpg"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    save(whole, Image.fromarray(noise))
    cases = {
        "truncated.jpg": whole.read_bytes()[:900],
        "empty.png": b"",
        "text.png": b"not a picture\n",
        "half.png": save(tmp_path / "w.png", Image.fromarray(noise)).read_bytes()[:200],
    }
    for name, data in cases.items():
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(Error, match="not a readable picture") as caught:
            read_image(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    save(tmp_path / "f.tif", Image.new("F", (2, 2)))
    with pytest.raises(Error, match="floating-point"):
        read_image(tmp_path / "f.tif")
    with pytest.raises(Error, match="no such file"):
        read_image(tmp_path / "absent.png")
    with pytest.raises(Error, match="a folder, not a picture"):
        read_image(tmp_path)


def test_pillow_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(Error, match=r"reading pictures needs Pillow: pip install edgecv\[image\]"):
        read_image(tmp_path / "a.png")


def test_list_images(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "c.txt", ".hidden.png", "sub/z.jpeg", "sub/y.webp"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    assert [p.name for p in list_images(tmp_path)] == ["a.png", "b.JPG"]
    found = [p.relative_to(tmp_path).as_posix() for p in list_images(tmp_path, recursive=True)]
    assert found == ["a.png", "b.JPG", "sub/y.webp", "sub/z.jpeg"]
    assert list_images(str(tmp_path)) == list_images(tmp_path)


def test_list_images_errors(tmp_path: Path) -> None:
    with pytest.raises(Error, match="no such folder"):
        list_images(tmp_path / "absent")
    with pytest.raises(Error, match="no pictures in this folder"):
        list_images(tmp_path)
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(Error, match="not a folder"):
        list_images(tmp_path / "a.png")
