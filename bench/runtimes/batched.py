"""Many images at once on a multi-exit detector.

Images that are answered leave, and the others are regrouped into a smaller batch for the next stage, so that nothing is
computed for an image that has gone. The regrouping costs time of its own, which is counted.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch

from bench.exits.policy import Policy
from bench.exits.view import View
from bench.runtimes.base import Answer, Chain, Deployed
from models.pixels import resize


class Batched:
    """A deployed candidate for batches.

    Attributes:
        deployed: the candidate on its runtime.
        regrouping: seconds spent so far on moving images into smaller batches.
        rows: how many images each stage has computed so far.
    """

    def __init__(self, deployed: Deployed):
        self.deployed = deployed
        self.regrouping = 0.0
        self.rows = [0] * deployed.exits
        self._chains: dict[int, Chain] = {}

    @torch.inference_mode()
    def detect(self, images: Sequence[np.ndarray], policy: Policy) -> list[Answer]:
        """Detect objects in several images at once; a batch size that is new is compiled first.

        Args:
            images: uint8 [H, W, 3] RGB each; sizes may differ.
            policy: says which exit answers each image.

        Returns:
            One answer per image, in their order.
        """
        size, last = self.deployed.candidate.detector.size, self.deployed.exits - 1
        chain, alive = self._chain(len(images)), list(range(len(images)))
        chain.start(torch.from_numpy(np.stack([resize(image, size) for image in images])))
        answers: dict[int, Answer] = {}
        views: dict[int, View] = {}
        for stage in range(self.deployed.exits):
            self.rows[stage] += len(alive)
            probabilities, code = chain.step(stage)
            staying = []
            for row, index in enumerate(alive):
                view = self.deployed.view(stage, probabilities[row], code[row], images[index], views.get(index))
                if stage == last or policy.answers(stage, view):
                    answers[index] = Answer(view.detections, stage)
                else:
                    views[index] = view
                    staying.append(row)
            if not staying:
                break
            if len(staying) < len(alive):
                chain = self._regrouped(chain, stage, staying)
                alive = [alive[row] for row in staying]
        return [answers[index] for index in range(len(images))]

    def _regrouped(self, chain: Chain, stage: int, staying: list[int]) -> Chain:
        smaller = self._chain(len(staying))
        start = time.perf_counter()
        smaller.put(stage, [part[staying] for part in chain.state(stage)])
        self.regrouping += time.perf_counter() - start
        return smaller

    def _chain(self, batch: int) -> Chain:
        if batch not in self._chains:
            self._chains[batch] = self.deployed.artifact.chain(batch)
        return self._chains[batch]
