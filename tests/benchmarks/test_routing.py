"""The routing benchmark runs, and what it compares agrees."""

import re

from benchmarks import routing


def test_the_routing_benchmark_compares_like_with_like(capsys):
    routing.main(["--images=12", "--classes=3", "--detections=20", "--policies=11", "--resamples=5"])
    printed = capsys.readouterr().out
    judges = dict(re.findall(r"^(\S+): .* s per policy, mAP apart by (\S+)", printed, re.MULTILINE))
    assert list(judges) == ["pycocotools"] + ["faster-coco-eval"] * (routing.faster is not None)
    assert max(float(apart) for apart in judges.values()) < 1e-9
    assert re.search(r"^11 policies: .* per second, \d+ times pycocotools", printed, re.MULTILINE)
    assert re.search(r"^50 resamples: ", printed, re.MULTILINE)
