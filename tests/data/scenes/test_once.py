"""What is made once: by one thread while the others wait, and other values meanwhile."""

import threading
from concurrent.futures import ThreadPoolExecutor

from mmjax.data.scenes.once import once


def test_a_value_is_made_by_one_thread_and_given_to_all():
    made, apart = [], threading.Barrier(2)

    @once
    def value(name):
        made.append(name)
        apart.wait(600)  # two values at the same time: a lock for all of them would never let the second begin
        return object()

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(value, "abababab"))
    assert sorted(made) == ["a", "b"]
    assert len(set(found)) == 2
    assert value("a") is found[0] is found[2]
