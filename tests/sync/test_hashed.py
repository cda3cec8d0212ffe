from random import Random

from ordersync.sync.hashed import FEW, Hashed


def test_it_has_what_was_put_in_and_not_left_out_again_as_a_set_has() -> None:
    rng = Random(7)  # noqa: S311 - a test that is the same each time
    hashed, plain = Hashed(), set[str]()
    for step in range(300):
        keys = [f"v:{rng.randrange(9_000)}" for _ in range(rng.choice((0, 1, 30, FEW)))]
        match rng.randrange(4):
            case 0 | 1:
                hashed.update(keys)
                plain.update(keys)
            case 2:
                for key in keys[:30]:
                    hashed.discard(key)
                    plain.discard(key)
            case _:
                kept = [*keys, *(key for key in plain if rng.random() < 0.9)]
                hashed.keep_only(kept)
                plain.intersection_update(kept)
        assert len(hashed) == len(plain), step
        for key in (f"v:{number}" for number in rng.sample(range(9_000), 200)):
            assert (key in hashed) == (key in plain), (step, key)
    assert len(plain) > FEW
