"""What every strategy is handed, and what none is."""

from strategies import registry


def test_no_strategy_is_ever_handed_the_test_split():
    import inspect

    for strategy in registry.STRATEGIES.all().values():
        assert set(inspect.signature(strategy.apply).parameters) == {
            "self",
            "initial",
            "fit",
            "score",
            "train",
            "val",
            "seed",
        }
