"""What was measured of one operating point, as a Record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bench import records
from bench.data.split import Dataset
from bench.exits.learned import GATES
from bench.measure.execution import predicted_ms
from bench.measure.flops import parameters
from bench.measure.latency import LatencySamples, ratio
from bench.measure.throughput import ThroughputSamples
from bench.records import Record, detector_id
from bench.routing.controls import gate_efficiency
from bench.stats import corrected_interval
from bench.study.study import AGAIN, PARITY_IMAGES, OperatingPoint, Study, single_name
from bench.train.fit import weights_hash
from models.errors import UserError


@dataclass(frozen=True)
class Recorder:
    """What the records of one runtime share.

    Attributes:
        data: the splits.
        foundation: what the foundation check found.
        environment: the machine now.
        latencies: of every contender, by name.
        throughputs: of every contender that was measured in batches, by name.
        reference: name of the operating point that the others are compared with.
        resamples: bootstrap draws behind every interval of times.
        seed: of these draws, and of the run.
    """

    data: Dataset
    foundation: records.Foundation
    environment: records.Environment
    latencies: dict[str, LatencySamples]
    throughputs: dict[str, ThroughputSamples]
    reference: str
    resamples: int
    seed: int

    def record(self, one: Study, point: OperatingPoint) -> Record:
        """Write down one operating point.

        Args:
            one: the study of its candidate.
            point: one of the study's.

        Returns:
            The record.

        Raises:
            UserError: the test split has no box to find.
        """
        candidate, reached = one.candidate, point.accuracy
        if reached.map is None:
            raise UserError("no box to find on the test split", where=point.name, fix="give a test split with boxes")
        flops = [cost.flops for cost in one.costs]
        replicates = np.where(np.isnan(point.replicates), reached.map, point.replicates)
        return Record(
            name=point.name,
            strategy=point.strategy,
            variant=candidate.variant,
            runtime=point.deployed.runtime,
            precision=candidate.precision,
            operating_point=recorded_policy(point),
            map=reached.map,
            map50=reached.map50,
            map75=reached.map75,
            ap_small=reached.ap_small,
            ap_medium=reached.ap_medium,
            ap_large=reached.ap_large,
            ap_per_class=reached.per_class,
            ap50_per_class=reached.per_class50,
            per_exit=self._per_exit(one, flops),
            map_bootstrap=replicates.tolist(),
            map_interval=corrected_interval(replicates, reached.map),
            flops_mean=float(np.take(flops, point.exits).mean()),
            flops_per_exit=flops,
            params=parameters(candidate.detector),
            size_mb=point.deployed.artifact.bytes / 1e6,
            latency_ms=self._latency(self.latencies[point.name]),
            throughput=self._throughput(point),
            random_exits=point.random,
            oracle=point.oracle,
            gate_efficiency=_gate_efficiency(reached.map, point),
            execution=self._execution(one, point),
            criteria=one.criteria,
            exit_profile=point.exit_profile,
            alarms=(*one.alarms, *point.alarms),
            speed_up=self._compare(self.reference, point.name),
            noise=self._compare(self.reference, AGAIN),
            chain_overhead=self._compare(one.static[-1].name, single_name(one)) if one.single else None,
            parity=records.Parity(**vars(one.parity), images=min(PARITY_IMAGES, len(self.data.val))),
            exit_share=(np.bincount(point.exits, minlength=len(flops)) / len(point.exits)).tolist(),
            test_images=len(self.data.test),
            split_hash=self.data.test.hash,
            splits={split.role: split.hash for split in self.data.splits},
            weights_hash=weights_hash(candidate.detector),
            seed=self.seed,
            forced=not self.foundation.passed,
            foundation=self.foundation,
            detections=f"detections/{point.name}.json.gz",
            audit=self._audit(one, point),
            environment=self.environment,
        )

    def _per_exit(self, one: Study, flops: list[int]) -> list[records.ExitAccuracy]:
        several = len(one.candidate.detector.classes) > 1
        return [
            records.ExitAccuracy(
                exit=number,
                map=accuracies.map,
                map50=accuracies.map50,
                flops=flops[number],
                latency_ms=self.latencies[static.name].mean,
                temperature=float(stage.temperature),
                calibration_error=error,
                ap_per_class=accuracies.per_class if several else None,
                ap50_per_class=accuracies.per_class50 if several else None,
            )
            for number, (accuracies, error, stage, static) in enumerate(
                zip(one.per_exit, one.calibration, one.candidate.detector.stages, one.static, strict=True)
            )
        ]

    def _latency(self, measured: LatencySamples) -> records.Latency:
        return records.Latency(
            mean=measured.mean,
            mean_interval=measured.mean_interval(self.resamples, self.seed),
            p50=measured.p50,
            p50_interval=measured.p50_interval(self.resamples, self.seed),
            p90=measured.p90,
            p90_interval=measured.p90_interval,
            p99=measured.p99,
            p99_interval=measured.p99_interval,
            samples=measured.samples.tolist(),
            images=[self.data.test.examples[int(index)].id for index in measured.images],
            warmup=measured.warmup,
            steady=measured.steady,
        )

    def _execution(self, one: Study, point: OperatingPoint) -> records.Execution | None:
        if point.executed is None or one.path_costs is None:
            return None
        latency = self.latencies[point.name]
        static = [self.latencies[other.name] for other in one.static]
        expected = predicted_ms(point.chosen.policy, one.path_costs, static, point.exits, np.unique(latency.images))
        low, high = latency.mean_interval(self.resamples, self.seed)
        return point.executed.model_copy(update={"predicted_ms": expected, "within": low <= expected <= high})

    def _throughput(self, point: OperatingPoint) -> records.Throughput | None:
        if point.name not in self.throughputs:
            return None
        mine = self.throughputs[point.name]
        return records.Throughput(
            batch=mine.batch,
            images_per_second=mine.images_per_second,
            regrouping=mine.regrouping,
            samples=mine.latency.samples.tolist(),
            speed_up=self._ratio(self.throughputs[self.reference].latency, mine.latency),
        )

    def _compare(self, slow: str, fast: str) -> records.Ratio:
        """The mean latency of `slow` over that of `fast`, from the same rounds, with its 95 % interval."""
        return self._ratio(self.latencies[slow], self.latencies[fast])

    def _ratio(self, slow: LatencySamples, fast: LatencySamples) -> records.Ratio:
        value, low, high = ratio(slow, fast, resamples=self.resamples, seed=self.seed)
        return records.Ratio(value=value, low=low, high=high)

    def _audit(self, one: Study, point: OperatingPoint) -> dict[str, Any]:
        latency = self.latencies[point.name]
        elsewhere = point.exits[latency.images] != latency.exits
        return {
            **point.deployed.artifact.audit,
            "made": one.candidate.note,
            "flops_cross_check": [cost.cross_check for cost in one.costs],
            "calls_leaving_elsewhere_than_simulated": int(elsewhere.sum()),
        }


def recorded_policy(point: OperatingPoint) -> records.RecordedPolicy:
    """Write down which exit answers which image, and how that was chosen.

    Args:
        point: with its policy.

    Returns:
        What the record says under `operating_point`.
    """
    policy, made = point.chosen.policy, point.deployed
    tables = f"tables/{detector_id(made.candidate, made.runtime)}"
    return records.RecordedPolicy(
        name=point.chosen.name,
        criterion=policy.criterion,
        thresholds=tuple(None if t == np.inf else t for t in policy.thresholds) if policy.criterion else None,
        chosen_on=point.chosen.chosen_on,
        note=point.chosen.note,
        promise=point.chosen.promise,
        weights=f"{tables}/{GATES}" if policy.gate else None,
    )


def _gate_efficiency(reached: float, point: OperatingPoint) -> float | None:
    if point.random is None or point.oracle is None:
        return None
    return gate_efficiency(reached, point.random, point.oracle)
