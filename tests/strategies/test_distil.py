"""What a teacher's answers and the ground truth weigh."""

from strategies.early_exit import EarlyExit
from strategies.prune import Prune
from strategies.truncate import Truncate
from tests.support.toys import apply, candidate


def test_without_labels_only_the_teacher_is_learnt_from():
    for strategy in (
        Prune(epochs=1, learning_rate=1e-3, ratios=(0.5,), labels=0.0),
        Truncate(epochs=1, after=(8,), widths=(16,), labels=0.0),
        EarlyExit(joint_epochs=1, widths=(16, 24), labels=0.0),
    ):
        _, calls = apply(strategy, candidate())
        assert calls[0]["losses"]
        assert all("distil" in name for name in calls[0]["losses"])
        assert "labels 0.0" in calls[0]["options"]
