"""The stages of one seed, in order; a stage that is done is not done again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List

import numpy as np
import onnx
import torch
from torch import nn

from edgecv.zoo.packages import write_atomically

from . import distil, export, models, qat
from .data import Pictures
from .progress import Progress, minutes
from .prune import gradients, prune
from .train import clock, cross_entropy, fit, save, top1


@dataclass(frozen=True)
class Settings:
    """How much of everything; the defaults are the full run."""

    train: int = 60_000
    test: int = 10_000
    teacher_epochs: int = 2
    views: int = 1
    student_epochs: int = 3
    prune_macs: float = 0.4
    tune_epochs: int = 2
    qat_epochs: int = 1
    calibration: int = 512


QUICK = Settings(
    train=5_000, test=2_000, teacher_epochs=4, views=2, student_epochs=6, tune_epochs=3,
    qat_epochs=1, calibration=128,
)  # fmt: skip


class Chain:
    """One seed. Everything it makes is in ``folder``; STAGE.json says what a stage took."""

    def __init__(
        self, folder: Path, seed: int, settings: Settings, train: Pictures, test: Pictures
    ) -> None:
        self.folder, self.seed, self.settings = folder, seed, settings
        self.train, self.test = train.first(settings.train), test.first(settings.test)
        self._key = f"{len(self.train)} {len(self.test)} {seed}"
        self._number = 0
        folder.mkdir(parents=True, exist_ok=True)

    def run(self) -> None:
        """All stages."""
        stages: List[Callable[[], None]] = [
            self._teacher, self._answers, self._student, self._prune, self._tune, self._qat,
            self._files,
        ]  # fmt: skip
        self._count = len(stages)
        for stage in stages:
            stage()

    def _stage(self, name: str, settings: List[str], make: Callable[[Progress, Path], Any]) -> None:
        """Runs ``make`` unless it was run with these settings and all stages before it, too."""
        self._number += 1
        chosen = {key: asdict(self.settings)[key] for key in settings}
        self._key = hashlib.sha256(f"{self._key} {name} {chosen}".encode()).hexdigest()[:16]
        record = self.folder / f"{name}.json"
        progress = Progress(f"seed {self.seed}  {self._number}/{self._count} {name:<8}")
        if record.exists() and json.loads(record.read_text())["key"] == self._key:
            progress.say("done before")
            return
        torch.manual_seed(self.seed)
        begun = clock()
        epochs = self.folder / f"{name}-{self._key}.epochs"
        found = make(progress, epochs) or {}
        now, earlier = clock(), found.pop("earlier", (0.0, 0.0))
        wall, cpu = (past + a - b for past, a, b in zip(earlier, now, begun))
        found = {"key": self._key, **chosen, **found, "seconds": wall, "cpu_seconds": cpu}
        write_atomically(record, json.dumps(found, indent=1).encode())
        epochs.unlink(missing_ok=True)
        right = f"test {found['top1']:.2f}%, " if "top1" in found else ""
        progress.say(f"{right}took {minutes(wall)}, CPU {minutes(cpu)}")

    def _fit(
        self, name: str, net: nn.Module, loss: Any, epochs: int, rate: float, *made: Any
    ) -> Dict[str, Any]:
        """Trains a network, saves its weights, scores it."""
        progress, path = made
        views = [epoch % self.settings.views for epoch in range(epochs)]
        if name == "teacher":
            views = list(range(epochs))
        earlier = fit(
            net, self.train, loss, seed=self.seed, views=views, rate=rate,
            progress=progress, saved=path,
        )  # fmt: skip
        save(self.folder / f"{name}.pt", net.state_dict())
        return {"top1": top1(net, self.test), "earlier": earlier}

    def _load(self, name: str, net: nn.Module) -> nn.Module:
        net.load_state_dict(torch.load(self.folder / f"{name}.pt"))
        return net.eval()

    def _pruned(self) -> nn.Module:
        return models.adopt(models.student(), onnx.load(str(self.folder / "prune.onnx"))).eval()

    def _distillation(self) -> Any:
        return distil.distillation(self.train, np.load(self.folder / "answers.npy"))

    def _teacher(self) -> None:
        def make(*made: Any) -> Dict[str, Any]:
            loss = cross_entropy(self.train)
            epochs = self.settings.teacher_epochs
            return self._fit("teacher", models.teacher(), loss, epochs, 4e-3, *made)

        self._stage("teacher", ["teacher_epochs"], make)

    def _answers(self) -> None:
        def make(progress: Progress, _: Path) -> None:
            net = self._load("teacher", models.teacher())
            path = self.folder / "answers.npy"
            distil.ask(net, self.train, self.seed, self.settings.views, progress, path)

        self._stage("answers", ["views"], make)

    def _student(self) -> None:
        def make(*made: Any) -> Dict[str, Any]:
            epochs = self.settings.student_epochs
            return self._fit("student", models.student(), self._distillation(), epochs, 6e-3, *made)

        self._stage("student", ["student_epochs"], make)

    def _prune(self) -> None:
        def make(progress: Progress, _: Path) -> Dict[str, Any]:
            net = self._load("student", models.student())
            few = self.train.first(4096)
            slope = gradients(net, few, self._distillation(), self.seed)
            proto, report = prune(net, self.settings.prune_macs, slope)
            write_atomically(self.folder / "prune.onnx", proto.SerializeToString())
            for line in str(report).splitlines():
                progress.say(line)
            return {"top1": top1(self._pruned(), self.test), "report": report.to_dict()}

        self._stage("prune", ["prune_macs"], make)

    def _tune(self) -> None:
        def make(*made: Any) -> Dict[str, Any]:
            epochs = self.settings.tune_epochs
            return self._fit("tuned", self._pruned(), self._distillation(), epochs, 4e-3, *made)

        self._stage("tune", ["tune_epochs"], make)

    def _qat(self) -> None:
        def make(*made: Any) -> Dict[str, Any]:
            net = qat.quantize_aware(self._load("tuned", self._pruned()), self._calibration())
            found = self._fit(
                "qat", net, self._distillation(), self.settings.qat_epochs, 5e-4, *made
            )
            proto = export.to_onnx(qat.freeze(net), folded=False)
            write_atomically(self.folder / "qat.onnx", proto.SerializeToString())
            return found

        self._stage("qat", ["qat_epochs", "calibration"], make)

    def _files(self) -> None:
        def make(progress: Progress, _: Path) -> None:
            nets = {
                "teacher": self._load("teacher", models.teacher()),
                "student": self._load("student", models.student()),
                "pruned": self._pruned(),
                "tuned": self._load("tuned", self._pruned()),
            }
            progress.start(len(nets) + 1)
            for name, net in nets.items():
                export.write_files(net, self.folder, self._calibration(), name=name)
                progress.step(name)
            proto = onnx.load(str(self.folder / "qat.onnx"))
            export.convert(proto, self.folder / "qat.int8.ecv")

        self._stage("files", [], make)

    def _calibration(self) -> Pictures:
        """Pictures whose values int8 ranges come from: of the training set, labels unused."""
        return self.train.first(self.settings.calibration)
