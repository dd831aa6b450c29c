"""One training loop for every stage, saved after each epoch, so that a stopped one goes on."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from .data import Numbers, Pictures, View
from .progress import Progress

BATCH = 128
# (numbers of the pictures, number of the view, logits) -> loss
Loss = Callable[[Numbers, int, torch.Tensor], torch.Tensor]


def tensor(x: NDArray[np.float32]) -> torch.Tensor:
    """A batch of pictures as torch likes it best."""
    return torch.from_numpy(x).contiguous(memory_format=torch.channels_last)


def cross_entropy(pictures: Pictures) -> Loss:
    """The loss against the true classes."""
    labels = torch.from_numpy(pictures.labels.astype(np.int64))
    return lambda index, view, logits: nn.functional.cross_entropy(
        logits, labels[torch.from_numpy(index)]
    )


def fit(
    net: nn.Module,
    pictures: Pictures,
    loss: Loss,
    *,
    seed: int,
    views: List[int],
    rate: float,
    progress: Progress,
    saved: Path,
) -> Tuple[float, float]:
    """Trains in place by AdamW, one epoch for each of ``views``, learning rates in one cycle.

    saved: where the state after each epoch is kept until the stage is done.

    Returns (wall seconds, CPU seconds) that epochs took in processes before this one.
    """
    steps = len(pictures) // BATCH
    decayed = [p for p in net.parameters() if p.dim() > 1]
    others = [p for p in net.parameters() if p.dim() <= 1]
    groups: List[Dict[str, Any]] = [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=steps * len(views), pct_start=0.25
    )
    state = (net, optimizer, schedule)
    done, earlier = _restore(saved, state)
    begun = clock()
    progress.start(steps * len(views), steps * done)
    net.train()
    for epoch, view in enumerate(views[done:], done):
        shown, right, total = 0, 0, 0.0
        for index, x in View(pictures, seed, view).batches(BATCH, (seed, view, epoch)):
            optimizer.zero_grad(set_to_none=True)
            logits = net(tensor(x))
            value = loss(index, view, logits)
            value.backward()
            optimizer.step()
            schedule.step()
            shown += len(index)
            right += int((logits.argmax(1).numpy() == pictures.labels[index]).sum())
            total += value.item() * len(index)
            progress.step(
                f"epoch {epoch + 1}/{len(views)}  loss {total / shown:.4f}  "
                f"right {100 * right / shown:.2f}%"
            )
        progress.line()
        now = clock()
        spent = [past + a - b for past, a, b in zip(earlier, now, begun)]
        kept = {"epoch": epoch + 1, "spent": spent, "state": [part.state_dict() for part in state]}
        save(saved, kept)
    net.eval()
    return earlier


def clock() -> Tuple[float, float]:
    """(wall seconds, CPU seconds of this process)."""
    return time.time(), time.process_time()


def _restore(path: Path, state: Tuple[Any, ...]) -> Tuple[int, Tuple[float, float]]:
    """Loads what was saved, returns how many epochs are done and what they took."""
    if not path.exists():
        return 0, (0.0, 0.0)
    kept = torch.load(path)
    for part, values in zip(state, kept["state"]):
        part.load_state_dict(values)
    return int(kept["epoch"]), (kept["spent"][0], kept["spent"][1])


def save(path: Path, what: Any) -> None:
    """Saves so that the file is whole or absent."""
    part = path.with_suffix(".tmp")
    torch.save(what, part)
    os.replace(part, path)


def top1(net: nn.Module, pictures: Pictures) -> float:
    """Per cent of the pictures that a module labels right."""
    net.eval()
    right = 0
    inputs = pictures.inputs()
    with torch.no_grad():
        for start in range(0, len(pictures), 500):
            found = net(tensor(inputs[start : start + 500])).argmax(1).numpy()
            right += int((found == pictures.labels[start : start + 500]).sum())
    return 100.0 * right / len(pictures)
