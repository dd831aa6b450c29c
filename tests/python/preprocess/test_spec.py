"""The description itself: text form, record form, presets, and what the errors teach."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecv.errors import Error
from edgecv.preprocess import INTERPOLATIONS, ORDERS, RESIZE_MODES, Preprocess, PreprocessError

sides = st.integers(1, 8192)
sizes = st.tuples(sides, sides)


@st.composite
def descriptions(draw: st.DrawFn) -> Preprocess:
    mode = draw(st.sampled_from(RESIZE_MODES))
    resize = (0, 0) if mode == "none" else draw(sizes)
    if mode == "shorter":
        resize = (resize[0], resize[0])
    order = draw(st.sampled_from(ORDERS))
    count = 1 if order == "grey" else 3
    mean = st.floats(-65536, 65536, width=32)
    std = st.floats(1, 65536, width=32)  # the text form refuses fractions, the record does not
    grey_level = st.integers(0, 255)
    return Preprocess(
        resize_mode=mode,
        resize=resize,
        interpolation=draw(st.sampled_from(INTERPOLATIONS)),
        antialias=draw(st.booleans()),
        crop=(0, 0) if mode == "letterbox" else draw(st.one_of(st.just((0, 0)), sizes)),
        order=order,
        mean=tuple(draw(st.lists(mean, min_size=count, max_size=count))),
        std=tuple(draw(st.lists(std, min_size=count, max_size=count))),
        fill=draw(st.tuples(grey_level, grey_level, grey_level)),
    )


@given(descriptions())
def test_text_and_record_round_trip(pre: Preprocess) -> None:
    assert Preprocess.parse(pre.to_text()) == pre
    spec = pre.to_spec()
    assert len(spec) == 17
    assert Preprocess.from_spec(spec) == pre
    as_stored = [np.float32(v) if isinstance(v, float) else v for v in spec]
    assert Preprocess.from_spec(as_stored) == pre


@given(descriptions())
def test_the_core_accepts_what_python_accepts(pre: Preprocess) -> None:
    from edgecv import _core

    _core.preprocess_check(pre.to_spec())


def test_parse() -> None:
    pre = Preprocess.parse("resize=256, crop=224, mean=127, std=128, order=RGB, interp=bilinear")
    assert pre == Preprocess(
        resize_mode="shorter",
        resize=(256, 256),
        crop=(224, 224),
        mean=(127.0, 127.0, 127.0),
        std=(128.0, 128.0, 128.0),
    )
    assert pre.output_size == (224, 224)
    assert pre.to_text() == "resize=256,crop=224,interp=bilinear,order=rgb,mean=127,std=128"
    boxed = Preprocess.parse("letterbox=640x384,fill=114,order=gray,antialias=off")
    assert (boxed.resize_mode, boxed.resize, boxed.fill) == ("letterbox", (640, 384), (114,) * 3)
    assert (boxed.channels, boxed.mean, boxed.std) == (1, (0.0,), (1.0,))
    assert not boxed.antialias
    assert Preprocess.parse("resize=640x480").resize_mode == "stretch"
    assert Preprocess.parse("mean=1/2/3").mean == (1.0, 2.0, 3.0)
    assert Preprocess.parse("resize=5").output_size is None


def test_presets() -> None:
    imagenet = Preprocess.parse("imagenet")
    assert imagenet == Preprocess.imagenet()
    assert imagenet.to_text() == (
        "resize=256,crop=224,interp=bilinear,order=rgb,"
        "mean=123.675/116.28/103.53,std=58.395/57.12/57.375"
    )
    assert Preprocess.parse("imagenet,interp=bicubic") == Preprocess.imagenet(
        interpolation="bicubic"
    )
    assert Preprocess.imagenet(320).resize == (365, 365)
    assert Preprocess.parse("imagenet,letterbox=224").crop == (0, 0)
    assert Preprocess.parse("yolo").to_text() == (
        "letterbox=640x640,interp=bilinear,order=rgb,mean=0,std=255,fill=114"
    )
    assert Preprocess.parse("yolo,order=grey").std == (255.0,)
    assert Preprocess.parse("imagenet,order=grey,mean=120,std=60").mean == (120.0,)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "write for example 'resize=256"),
        ("resize", "not key=value"),
        ("imagnet", "a preset \\(imagenet, yolo\\) may come first"),
        ("mean=124,116,104", "separate the channels with '/'"),
        ("size=224", "no key 'size': there are resize, letterbox"),
        ("resize=0", "a side of 1 to 8192 pixels"),
        ("resize=-5", "a side of 1 to 8192 pixels"),
        ("resize=9000", "a side of 1 to 8192 pixels"),
        ("crop=3x4x5", "WIDTHxHEIGHT"),
        ("crop=1.5", "WIDTHxHEIGHT"),
        ("interp=nearest", "interp=nearest: write bilinear or bicubic"),
        ("antialias=yes", "write on or off"),
        ("order=rbg", "write rgb or bgr or grey"),
        ("mean=a", "one number, or one a channel with '/'"),
        ("mean=1/2", "one number, or one a channel with '/'"),
        ("mean=nan", "allowed are -65536 to 65536"),
        ("std=0", "allowed are"),
        ("std=-1", "allowed are"),
        ("std=inf", "allowed are"),
        ("std=1e300", "allowed are"),
        ("std=0.229/0.224/0.225", "multiply both by 255 \\(std=58.395/57.12/57.375\\)"),
        ("order=grey,mean=1/2/3", "mean has 3 numbers, the input 1"),
        ("imagenet,order=grey", "give a mean and a std of your own"),
        ("imagenet,order=grey,std=60", "give a mean and a std of your own"),
        ("fill=256", "grey level 0 to 255"),
        ("fill=1/2", "red/green/blue"),
        ("letterbox=5,crop=3", "leave out crop"),
        ("resize=5,letterbox=5", "sets resize_mode twice"),
        ("mean=1,mean=2", "sets mean twice"),
    ],
)
def test_parse_errors_teach(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        Preprocess.parse(text)
    assert isinstance(caught.value, Error)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"resize_mode": "fit"}, "resize_mode 'fit' is unknown"),
        ({"resize": (5, 5)}, "without a resize mode"),
        ({"resize_mode": "shorter", "resize": (5, 6)}, "give the shorter side's length twice"),
        ({"resize_mode": "stretch", "resize": (0, 6)}, "a side is 1 to 8192"),
        ({"resize_mode": "stretch"}, "a side is 1 to 8192"),
        ({"crop": (5, 0)}, "a side is 1 to 8192"),
        ({"crop": (5.5, 5)}, "whole pixels"),
        ({"mean": (1.0, 2.0)}, "mean has 2 numbers"),
        ({"fill": (0, 0, 256)}, "three numbers from 0 to 255"),
    ],
)
def test_constructor_errors(fields: dict[str, object], words: str) -> None:
    with pytest.raises(PreprocessError, match=words):
        Preprocess(**fields)  # type: ignore[arg-type]


# Index into the 17 numbers, a bad value there; the core and Python must both refuse it.
BAD_RECORDS = [
    (0, 4),
    (1, 2),
    (2, 2),
    (3, 0),
    (3, -1),
    (4, 8193),
    (5, 0),
    (6, 8193),
    (7, 3),
    (8, float("nan")),
    (9, float("inf")),
    (10, 65537.0),
    (11, 0.0),
    (12, -1.0),
    (13, 2.0**-21),
    (13, float("nan")),
]


@pytest.mark.parametrize(("index", "value"), BAD_RECORDS)
def test_bad_records(index: int, value: float) -> None:
    from edgecv import _core

    spec = list(Preprocess.parse("resize=9x9,crop=8").to_spec())
    spec[index] = value
    with pytest.raises(PreprocessError):
        Preprocess.from_spec(spec)
    with pytest.raises((ValueError, Error)):
        _core.preprocess_check(tuple(spec))


@pytest.mark.parametrize(("index", "value"), [(9, 1.0), (10, -1.0), (12, 2.0), (13, 0.0)])
def test_grey_records_leave_missing_channels_alone(index: int, value: float) -> None:
    from edgecv import _core

    spec = list(Preprocess.parse("order=grey").to_spec())
    spec[index] = value
    with pytest.raises(PreprocessError, match="missing channel"):
        Preprocess.from_spec(spec)
    with pytest.raises((ValueError, Error)):
        _core.preprocess_check(tuple(spec))
