"""int8: the candidate is handed on with training images to calibrate on.

The runtime that deploys it does the quantization with its own kernels (see bench/runtimes). When that costs more mAP on
val than is tolerated, a second candidate is fine-tuned under simulated int8 first, with the fp32 one as teacher.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from models.detector import Detector
from models.errors import UserError
from models.fake_int8 import FakeInt8
from strategies.base import Candidate, Fit, Images, Score
from strategies.distil import finetune


@dataclass(frozen=True)
class Quant:
    """Quantizes to int8 after training, and trains for it where that loses too much.

    Args:
        images: how many training images the activation ranges are read from, at least 1.
        keep: sensitive parts of every stage that stay in fp32, by the beginning of their module path: "head",
            "blocks.0".
        tolerance: share of the mAP on val that plain int8 may lose, in [0, 1]; beyond it comes the fine-tuning.
        epochs: passes over the training images in fine-tuning, at least 0; 0: it is left out.
        learning_rate: peak AdamW learning rate, above 0.
        distil: weight of the fp32 detector's answers in the loss (distillation), at least 0; at 0 left out.
        labels: weight of the losses on the ground truth, at least 0; at 0 left out.
    """

    images: int = 300
    keep: tuple[str, ...] = ()
    tolerance: float = 0.02
    epochs: int = 2
    learning_rate: float = 1e-5
    distil: float = 3.0
    labels: float = 1.0
    precisions: ClassVar[frozenset[str]] = frozenset({"int8"})

    def apply(
        self, initial: Candidate, *, fit: Fit, score: Score, train: Images, val: Images, seed: int
    ) -> list[Candidate]:
        """Return [plain, aware?]."""
        if initial.precision == "int8":
            fix = "quantize once, and last"
            raise UserError(f"{initial.strategy} {initial.variant} is int8 already", where="strategy quant", fix=fix)
        count = min(self.images, len(train))
        chosen = np.random.default_rng(seed).choice(len(train), size=count, replace=False)
        plain = replace(
            initial,
            strategy="quant",
            variant="int8",
            precision="int8",
            calibration=tuple(train.image(int(index)) for index in chosen),
            keep=self.keep,
        )
        whole, reached = score(initial), score(plain)
        scores = f"mAP {reached:.3f} on val, fp32 {whole:.3f}"
        kept = f" but for {', '.join(self.keep)}" if self.keep else ""
        plain = replace(plain, note=f"post-training int8{kept}, calibrated on {count} training images: {scores}")
        if self.epochs == 0 or reached >= (1 - self.tolerance) * whole:
            return [plain]
        aware = replace(plain, variant="int8-aware", detector=initial.detector.clone())
        self._withstand(aware, initial, fit)
        note = f"fine-tuned {self.epochs} epochs under simulated int8 with the fp32 detector as teacher, because plain"
        note += f" int8 lost more than {self.tolerance:.0%}: mAP {score(aware):.3f} on val, plain {scores}"
        return [plain, replace(aware, note=note)]

    def _withstand(self, aware: Candidate, initial: Candidate, fit: Fit) -> None:
        """Fine-tune the candidate's detector in place. All its batch norm keeps its statistics, as int8 will."""
        detector = aware.detector
        inputs = (detector.to_input(image) for image in aware.calibration)
        simulated = FakeInt8(detector, inputs, tuple(self._kept_layers(detector)))
        finetune(
            detector,
            teacher=initial.detector,
            fit=fit,
            name="quant-aware",
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            distil=self.distil,
            labels=self.labels,
            pretrained_modules=tuple(detector.modules()),
            forward=simulated,
        )

    def _kept_layers(self, detector: Detector) -> Iterator[str]:
        for name, _ in detector.get_submodule("stages").named_modules():
            inside = name.partition(".")[2]
            if any(inside == part or inside.startswith(f"{part}.") for part in self.keep):
                yield f"stages.{name}"
