"""The benchmarks run, and what they compare agrees."""

import re

from benchmarks import routing


def test_the_routing_benchmark_compares_like_with_like(capsys):
    routing.main(["--images=12", "--classes=3", "--detections=20", "--policies=11", "--resamples=5"])
    printed = capsys.readouterr().out
    assert float(re.search(r"apart by (\S+)", printed)[1]) < 1e-9
    assert re.search(r"^11 policies: .* per second, \d+ times pycocotools", printed, re.MULTILINE)
    assert re.search(r"^50 resamples: ", printed, re.MULTILINE)
