"""What the teacher thinks of every picture, kept, and the loss that makes a student think so."""

from __future__ import annotations

import os
from pathlib import Path
from typing import List

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from .data import Numbers, Pictures, View
from .progress import Progress
from .train import Loss, cross_entropy, tensor

TEMPERATURE = 4.0
TRUTH = 0.1  # the share of the true classes in the loss
_BATCH = 500
Logits = NDArray[np.float16]  # [views, pictures, classes]


def ask(
    teacher: nn.Module, pictures: Pictures, seed: int, views: int, progress: Progress, path: Path
) -> None:
    """Saves the teacher's logits for so many augmented views of all pictures."""
    teacher.eval()
    progress.start(views * -(-len(pictures) // _BATCH))
    answers: List[NDArray[np.float16]] = []
    with torch.no_grad():
        for number in range(views):
            view = View(pictures, seed, number)
            for start in range(0, len(pictures), _BATCH):
                index = np.arange(start, min(start + _BATCH, len(pictures)))
                answers.append(teacher(tensor(view.batch(index))).numpy().astype(np.float16))
                progress.step(f"view {number + 1}/{views}")
    progress.line()
    part = path.with_suffix(".tmp.npy")
    np.save(part, np.concatenate(answers).reshape(views, len(pictures), -1))
    os.replace(part, path)


def distillation(pictures: Pictures, answers: Logits) -> Loss:
    """Kullback-Leibler distance from the teacher's softened answers, and a little of the truth."""
    truth = cross_entropy(pictures)
    soft = torch.from_numpy(answers.astype(np.float32) / TEMPERATURE).log_softmax(-1)

    def loss(index: Numbers, view: int, logits: torch.Tensor) -> torch.Tensor:
        distance = nn.functional.kl_div(
            (logits / TEMPERATURE).log_softmax(1),
            soft[view, torch.from_numpy(index)],
            reduction="batchmean",
            log_target=True,
        )
        return (1 - TRUTH) * TEMPERATURE**2 * distance + TRUTH * truth(index, view, logits)

    return loss
