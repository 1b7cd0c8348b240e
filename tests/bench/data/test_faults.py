"""What is wrong is collected and said at once: the first ten, and how many more."""

import pytest

from bench.data.faults import DataFaults, Faults
from models.errors import UserError


def collected(count: int) -> Faults:
    faults = Faults()
    for number in range(count):
        faults.add(f"wrong {number}", where=f"file {number}", fix="mend it")
    return faults


def test_nothing_wrong_and_one_thing():
    Faults().check("data")
    with pytest.raises(UserError) as caught:
        collected(1).check("data")
    assert str(caught.value) == "file 0: wrong 0 (mend it)"
    assert not isinstance(caught.value, DataFaults)


@pytest.mark.parametrize(("count", "listed", "more"), [(2, 2, ""), (10, 10, ""), (1234, 10, "  and 1,224 more")])
def test_ten_are_listed_and_the_others_counted(count, listed, more):
    with pytest.raises(DataFaults) as caught:
        collected(count).check("data")
    lines = str(caught.value).splitlines()
    assert lines[0] == f"data: {count:,} faults"
    assert lines[1 : 1 + listed] == [f"  file {number}: wrong {number} (mend it)" for number in range(listed)]
    assert lines[1 + listed :] == ([more] if more else [])
    assert len(caught.value.faults) == count


def test_caught_and_gone_on():
    faults, after = Faults(), []
    for number in range(3):
        with faults.caught():
            if number == 1:
                raise UserError("wrong")
            after.append(number)
    with faults.caught():
        collected(2).check("inner")
    assert after == [0, 2]
    assert list(map(str, faults.found)) == ["wrong", "file 0: wrong 0 (mend it)", "file 1: wrong 1 (mend it)"]


def test_bugs_are_not_caught():
    with pytest.raises(ZeroDivisionError), Faults().caught():
        _ = 1 / 0
