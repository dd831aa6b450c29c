"""Print the five best classes of each picture: classify.py MODEL.ecv LABELS.txt PICTURE..."""

import sys
from pathlib import Path

import edgecv

model = edgecv.load(sys.argv[1])
labels = Path(sys.argv[2]).read_text(encoding="utf-8").splitlines()
for picture in sys.argv[3:]:
    scores = next(iter(model.run_image(picture).values())).ravel()
    best = scores.argsort()[::-1][:5]
    print(picture, ", ".join(f"{labels[i]} {scores[i]:.3f}" for i in best), sep=": ")
