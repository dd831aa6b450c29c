"""Print the best class of each camera frame.

camera.py MODEL.ecv --raw FILE --format nv12 --size 640x480     raw frames; FILE '-': a pipe
camera.py MODEL.ecv --camera 0                                  needs opencv-python-headless

ffmpeg -i street.mp4 -f rawvideo -pix_fmt nv12 -s 640x480 - |
  python camera.py net.ecv --raw - --format nv12 --size 640x480
"""

from __future__ import annotations

import argparse
import sys
from typing import Iterator, Tuple

import edgecv
from edgecv.frames import COLORS, FORMATS, Frame


def frame_bytes(format: str, width: int, height: int) -> int:
    pairs, rows = (width + 1) // 2, (height + 1) // 2
    if format in ("nv12", "nv21"):
        return width * height + 2 * pairs * rows
    return height * {"grey": width, "yuyv": 4 * pairs}.get(format, 3 * width)


def raw_frames(path: str, format: str, size: Tuple[int, int], color: str) -> Iterator[Frame]:
    width, height = size
    wanted = frame_bytes(format, width, height)
    with open(sys.stdin.fileno() if path == "-" else path, "rb") as stream:
        while True:
            data = stream.read(wanted)
            if not data:
                return
            if len(data) < wanted:
                raise SystemExit(f"{path}: ends inside a frame: are format and size right?")
            yield Frame(format, data, width, height, color)


def camera_frames(number: int) -> Iterator[Frame]:
    import cv2

    camera = cv2.VideoCapture(number)
    while True:
        good, picture = camera.read()
        if not good:
            raise SystemExit(f"camera {number}: no frame")
        height, width, _ = picture.shape
        yield Frame("bgr", picture, width, height)


def size_of(text: str) -> Tuple[int, int]:
    width, height = map(int, text.split("x"))
    return width, height


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--raw", metavar="FILE")
    source.add_argument("--camera", type=int, metavar="N")
    parser.add_argument("--format", choices=FORMATS, default="nv12")
    parser.add_argument("--color", choices=COLORS, default="bt601")
    parser.add_argument("--size", type=size_of, default=(640, 480), metavar="WxH")
    args = parser.parse_args()
    if args.raw is None:
        frames = camera_frames(args.camera)
    else:
        frames = raw_frames(args.raw, args.format, args.size, args.color)
    with edgecv.load(args.model) as model:
        labels = model.labels or []
        for number, frame in enumerate(frames):
            scores = next(iter(model.run_image(frame).values())).ravel()
            best = int(scores.argmax())
            label = labels[best] if best < len(labels) else ""
            print(f"frame {number}: {best} {scores[best]:.4f} {label}", flush=True)


if __name__ == "__main__":
    main()
