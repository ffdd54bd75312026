"""Beam search against hand-worked sequences, brute force, and the published algorithms written with lists."""

import functools

import decode_reference as reference
import decode_toy as toy
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.extend import core as jax_core

from mmjax import decode
from mmjax.errors import UserError

SEMANTICS = ("shrinking", "frozen", "refilled", "im2txt")
END = 0


@functools.cache
def compiled(step, start, steps, options):
    return jax.jit(lambda carry: decode.beam(step, carry, start, END, steps, **dict(options)))


def search(step, carry, start, steps, **options):
    """One program for each set of options, however many tests use it: compiling is what takes time here."""
    return jax.device_get(compiled(step, start, steps, tuple(sorted(options.items())))(carry))


def tokens_of(out, i, j):
    """Row j of example i as a tuple of tokens, `end` included where it was generated."""
    length = int(out.lengths[i, j]) + int(out.finished[i, j])
    row = np.asarray(out.tokens[i, j])
    assert np.all(row[int(out.lengths[i, j]) :] == END)
    return tuple(int(w) for w in row[:length])


# The chain of the golden tests. Rows: 0 = end, 1 = a, 2 = b, 3 = start. From the start: a .6, b .4; from a: end .1,
# a .5, b .4; from b: end .9, b .1.
CHAIN = [[1.0, 0, 0, 0], [0.1, 0.5, 0.4, 0], [0.9, 0, 0.1, 0], [0, 0.6, 0.4, 0]]


def two_best(*tables, semantics):
    """Width 2, three steps."""
    return search(toy.chain, toy.tables(*tables), 3, 3, size=2, semantics=semantics, n_best=2)


@pytest.mark.parametrize("semantics", SEMANTICS)
def test_golden_by_hand(semantics):
    # Greedy: a a a, .6 * .5 * .5 = .15, does not end. Best: b end, .4 * .9 = .36; then a b end, .6 * .4 * .9 = .216.
    # Width 2, step 1: a .6, b .4. Step 2: b end .36, a a .30 | a b .24, a end .06.
    # Shrinking: a a only; then a a a .15 and nothing ends. Frozen: b end .36 and a a .30; then b end .36, a a a .15.
    # Refilled: the beam is a a .30 alone too (b end took a place): a a a .15, a a b .12.
    # im2txt: b end does not take a place: a a .30, a b .24; then a b end .216.
    out = two_best(CHAIN, semantics=semantics)
    second = {"im2txt": ((1, 2, 0), 0.216)}.get(semantics, ((1, 1, 1), 0.15))
    assert [tokens_of(out, 0, 0), tokens_of(out, 0, 1)] == [(2, 0), second[0]]
    np.testing.assert_allclose(out.scores, np.log([[0.36, second[1]]]), rtol=1e-5)
    np.testing.assert_array_equal(out.lengths, [[1, len(second[0]) - (semantics == "im2txt")]])
    np.testing.assert_array_equal(out.finished, [[True, semantics == "im2txt"]])


@pytest.mark.parametrize("semantics", SEMANTICS)
def test_nothing_ends(semantics):
    out = two_best([[0.25] * 4, [0, 0.5, 0.3, 0.2], [0, 0.2, 0.5, 0.3], [0, 0.5, 0.4, 0.1]], semantics=semantics)
    assert [tokens_of(out, 0, 0), tokens_of(out, 0, 1)] == [(1, 1, 1), (2, 2, 2)]
    np.testing.assert_allclose(out.scores, np.log([[0.125, 0.1]]), rtol=1e-5)
    np.testing.assert_array_equal(out.lengths, [[3, 3]])
    assert not np.any(out.finished)


@pytest.mark.parametrize("semantics", SEMANTICS)
def test_fewer_sequences_than_asked_for(semantics):
    out = two_best([[1.0, 0, 0, 0]] * 4, semantics=semantics)
    assert tokens_of(out, 0, 0) == (END,)
    np.testing.assert_array_equal(out.scores, [[0, -np.inf]])
    np.testing.assert_array_equal(out.finished, [[True, False]])
    assert not np.any(out.lengths)


@pytest.mark.parametrize("semantics", SEMANTICS)
def test_a_dead_end_is_never_chosen_and_makes_no_nan(semantics):
    """After token 2 nothing is possible: a step that constrains what may follow gives such rows."""
    out = two_best([[1.0, 0, 0, 0], [0.3, 0.7, 0, 0], [0, 0, 0, 0], [0, 0.4, 0.6, 0]], semantics=semantics)
    assert tokens_of(out, 0, 0) == (1, 0)  # 2 was the better first word
    assert not np.any(np.isnan(out.scores))
    nowhere = two_best([[0.0] * 4] * 4, semantics=semantics)
    np.testing.assert_array_equal(nowhere.scores, -np.inf)


def test_im2txt_drops_words_below_1e_12():
    table = [[1.0, 0, 0, 0], [1e-13, 1.0, 0, 0], [1.0, 0, 0, 0], [0, 1.0, 0, 0]]
    assert bool(two_best(table, semantics="refilled").finished[0, 0])
    assert not bool(two_best(table, semantics="im2txt").finished[0, 0])


def test_golden_penalties():
    # Width 4 holds b end (.36, 2 tokens) and a b end (.216, 3 tokens). mean: ln .36 / 2 = -.511, ln .216 / 3 = -.511:
    # .36 = .6^2 and .216 = .6^3, so both are ln .6. GNMT with alpha 1: (5 + 2) / 6 and (5 + 3) / 6.
    run = functools.partial(search, toy.chain, toy.tables(CHAIN), 3, 3, size=4, n_best=2)
    np.testing.assert_allclose(run(penalty="mean", semantics="refilled").scores, np.log([[0.6, 0.6]]), rtol=1e-5)
    gnmt = run(penalty="gnmt", alpha=1.0, semantics="refilled")
    np.testing.assert_allclose(gnmt.scores, [[np.log(0.36) * 6 / 7, np.log(0.216) * 6 / 8]], rtol=1e-5)
    long = run(penalty="mean", alpha=2.0, semantics="refilled")
    assert tokens_of(long, 0, 0) == (1, 2, 0)
    np.testing.assert_allclose(long.scores[0, 0], np.log(0.216) / 9, rtol=1e-5)
    counted = run(penalty="mean", semantics="im2txt")  # the start token counts
    np.testing.assert_allclose(sorted(counted.scores[0]), sorted([np.log(0.36) / 3, np.log(0.216) / 4]), rtol=1e-5)


def test_the_search_goes_on_as_long_as_a_longer_sequence_can_win():
    # end alone: ln .5 / 1 = -.693, above the live a, ln .45 = -.799. But a a end: ln(.45 * .98 * .02) / 9 = -.526.
    table = [[1.0, 0, 0, 0], [0.02, 0.98, 0, 0], [1.0, 0, 0, 0], [0.5, 0.45, 0.05, 0]]
    options = {"penalty": "mean", "alpha": 2.0, "semantics": "refilled", "size": 4}
    out = search(toy.chain, toy.tables(table), 3, 3, n_best=1, **options)
    assert tokens_of(out, 0, 0) == (1, 1, 0)
    np.testing.assert_allclose(out.scores, [[np.log(0.45 * 0.98 * 0.02) / 9]], rtol=1e-5)


# The network of the tests below: seven words, twelve examples, three hypotheses, six steps.
WORDS, B, SIZE, STEPS = 7, 12, 3, 6
STEP, LOG_PROBS = toy.network(1, WORDS)
PLAIN = {"penalty": "none", "alpha": 1.0, "unfinished": "last"}


def three_best(carry, semantics, n_best=SIZE, **options):
    return search(STEP, carry, WORDS, STEPS, size=SIZE, semantics=semantics, n_best=n_best, **{**PLAIN, **options})


@pytest.mark.parametrize(
    ("semantics", "penalty", "alpha", "unfinished"),
    [
        *((semantics, "none", 1.0, "last") for semantics in SEMANTICS),
        ("shrinking", "mean", 1.0, "compete"),
        ("frozen", "gnmt", 0.7, "compete"),
        ("refilled", "mean", 2.0, "compete"),
        ("im2txt", "mean", 1.0, "last"),
    ],
)
def test_equals_the_published_algorithm(semantics, penalty, alpha, unfinished):
    options = {"penalty": penalty, "alpha": alpha, "unfinished": unfinished}
    carry, ended = toy.carry(2, B), 0
    out = three_best(carry, semantics, **options)
    for i in range(B):
        run = reference.SEARCHES[semantics]
        wanted = run(LOG_PROBS(np.asarray(carry["h"][i])), END, STEPS, SIZE, **options)
        for j, (score, tokens, finished) in enumerate(wanted[:SIZE]):
            assert tokens_of(out, i, j) == tokens
            assert bool(out.finished[i, j]) == finished
            np.testing.assert_allclose(out.scores[i, j], score, rtol=1e-4)
            ended += finished
    assert ended > 0
    assert ended < B * SIZE or semantics in ("im2txt", "refilled")  # both kinds were there


@pytest.mark.parametrize(
    ("semantics", "options"),
    [
        ("refilled", {}),
        ("refilled", {"penalty": "mean", "alpha": 2.0, "unfinished": "compete"}),
        ("im2txt", {"penalty": "mean"}),
        ("frozen", {"penalty": "gnmt", "alpha": 0.7, "unfinished": "compete"}),
    ],
)
def test_the_best_one_alone_is_the_first_of_many(semantics, options):
    """The bound that ends the search early must not change what it finds."""
    for seed in range(20):
        carry = toy.carry(100 + seed, B)
        one, all_ = three_best(carry, semantics, n_best=1, **options), three_best(carry, semantics, **options)
        jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b[:, :1]), one, all_)


@pytest.mark.parametrize("semantics", SEMANTICS)
def test_a_permuted_batch_gives_permuted_results(semantics):
    carry, order = toy.carry(10, B), np.random.default_rng(0).permutation(B)
    moved = three_best(jax.tree.map(lambda x: x[order] if x.ndim else x, carry), semantics)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b[order], rtol=1e-5), moved, three_best(carry, semantics))


@pytest.mark.parametrize("semantics", ["shrinking", "im2txt"])
def test_a_batch_is_one_at_a_time(semantics):
    carry = toy.carry(10, B)
    together = three_best(carry, semantics)
    for i in range(B):
        alone = three_best(toy.rows(carry, i), semantics)
        jax.tree.map(lambda a, b, i=i: np.testing.assert_allclose(a[0], b[i], rtol=1e-5, atol=1e-6), alone, together)


@pytest.mark.parametrize("semantics", SEMANTICS)
def test_what_is_emitted_follows_the_winner(semantics):
    """The emitted states and words are those of a straight run over the winner's own tokens."""
    carry = toy.carry(12, B)
    out, step = three_best(carry, semantics), jax.jit(STEP)
    assert out.emitted["before"].shape == (B, SIZE, STEPS, 6)
    for i in range(0, B, 3):
        for j in range(SIZE):
            state, tokens = toy.rows(carry, i), tokens_of(out, i, j)
            for t, token in enumerate((WORDS, *tokens[:-1])):
                state, _, emitted = step(state, jnp.array([token]))
                np.testing.assert_array_equal(out.emitted["word"][i, j, t], token)
                np.testing.assert_allclose(out.emitted["before"][i, j, t], emitted["before"][0], rtol=2e-4, atol=1e-5)
            assert not np.any(out.emitted["before"][i, j, len(tokens) :])


@pytest.mark.parametrize("semantics", ["shrinking", "im2txt"])
def test_lengths_and_forbidden_tokens(semantics):
    carry = toy.carry(14, B)
    free = three_best(carry, semantics)
    assert np.min(free.lengths) < 3
    assert {4, 5} <= set(np.unique(free.tokens))
    out = three_best(carry, semantics, min_length=3, forbidden=(4, 5))
    assert np.min(out.lengths) >= 3
    assert np.any(out.finished & (out.lengths == 3))
    assert not {4, 5} & set(np.unique(out.tokens))
    for i in range(B):  # what is banned is still part of the distribution: scores are the network's own
        tokens, after = tokens_of(out, i, 0), LOG_PROBS(np.asarray(carry["h"][i]))
        score = sum(after(tokens[:t])[w] for t, w in enumerate(tokens))
        np.testing.assert_allclose(out.scores[i, 0], score, rtol=1e-4)


@pytest.mark.parametrize(
    ("semantics", "penalty"), [("shrinking", "none"), ("frozen", "none"), ("refilled", "mean"), ("im2txt", "mean")]
)
def test_wide_beam_is_brute_force(semantics, penalty):
    vocabulary, steps, b = 4, 4, 3
    step, log_probs = toy.network(5, vocabulary)
    carry = toy.carry(6, b)
    out = search(step, carry, vocabulary, steps, size=3**4 + 40, semantics=semantics, n_best=10, penalty=penalty)
    for i in range(b):
        extra = int(semantics == "im2txt")
        wanted = reference.everything(
            log_probs(np.asarray(carry["h"][i])), END, steps, vocabulary, penalty, extra=extra
        )
        assert [tokens_of(out, i, j) for j in range(10)] == [tokens for _, tokens in wanted[:10]]
        np.testing.assert_allclose(out.scores[i], [score for score, _ in wanted[:10]], rtol=1e-4)


@pytest.mark.parametrize("semantics", ["shrinking", "frozen"])
def test_width_one_is_greedy(semantics):
    """Not under the other two, where what has ended takes no place: width one goes on past greedy's end."""
    step, _ = toy.network(7, 300)  # large enough for the search by blocks
    carry = toy.carry(8, 20)
    one = search(step, carry, 300, 8, size=1, semantics=semantics)
    greedy = jax.jit(lambda c: decode.greedy(step, c, 300, END, 8))(carry)
    assert len(np.unique(greedy.tokens)) > 20
    for name in ("tokens", "lengths", "finished"):
        np.testing.assert_array_equal(getattr(one, name), getattr(greedy, name))
    np.testing.assert_allclose(one.scores, greedy.scores, rtol=1e-5)
    # Two programs round what is near zero in their own ways: the states lie in -1..1.
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
    jax.tree.map(close, one.emitted, greedy.emitted)


def test_it_stops_early():
    """A step that counts its calls: three words and the end take four steps, whatever max_length is."""
    calls = []

    def step(carry, token):
        jax.debug.callback(lambda: calls.append(1))
        sure = jnp.eye(5, dtype=jnp.float32)[jnp.clip(token - 1, 0)] * 60.0
        return carry, sure

    for run in (decode.greedy, functools.partial(decode.beam, size=3)):
        calls.clear()
        out = jax.device_get(jax.jit(lambda r=run: r(step, (), jnp.array([4, 4]), END, 50))())
        jax.effects_barrier()
        assert tokens_of(out, 0, 0) == (3, 2, 1, 0)
        assert len(calls) in (4, 8, 16, 24)  # a callback under vmap may be called for each row
        assert len(calls) <= 4 * 2 * 3


def test_one_compilation_and_no_retracing():
    traced = []
    plain, _ = toy.network(17, 6)

    def step(carry, token):
        traced.append(1)
        return plain(carry, token)

    run = jax.jit(lambda c: decode.beam(step, c, 6, END, 30, size=3))
    first = run(toy.carry(18, 4))
    count = len(traced)
    assert count <= 4  # shapes, and the body of the loop: not once a step
    second = run(toy.carry(19, 4))
    assert len(traced) == count
    assert not np.array_equal(first.scores, second.scores)


def test_constants_are_not_copied_for_each_beam():
    """No value of the compiled search has the size of the pictures times the width of the beam."""
    b, n, places, d = 2, 5, 64, 32
    keys = jnp.asarray(np.random.default_rng(0).normal(size=(b, places, d)), jnp.float32)

    def step(keys, h, token):
        weights = jax.nn.softmax(jnp.einsum("bd,bpd->bp", h, keys))
        h = jnp.tanh(jnp.einsum("bp,bpd->bd", weights, keys) + jax.nn.one_hot(token, d))
        return h, h, weights

    def run(keys, h):
        return decode.beam(functools.partial(step, keys), h, 1, END, 6, size=n)

    jaxpr = jax.make_jaxpr(run)(keys, jnp.zeros((b, d)))
    largest = max(int(np.prod(v.aval.shape)) for v in variables(jaxpr.jaxpr))
    assert largest < b * places * d
    assert jaxpr.out_avals[-1].shape == (b, 1, 6, places)


def variables(jaxpr):
    """All values of a program and of the programs inside it."""
    for equation in jaxpr.eqns:
        yield from equation.outvars
        for inner in jax_core.jaxprs_in_params(equation.params):
            yield from variables(inner)


def test_carry_of_mixed_shapes():
    """Ranks from scalar to 4, integers, booleans, a key, and an empty tree: each follows its hypothesis."""
    plain, _ = toy.network(20, 7)

    def step(carry, token):
        inner, logits, _ = plain(carry["net"], token)
        history = carry["history"].at[:, 0, carry["net"]["t"], 0].set(token)
        flags = carry["flags"] | (token == 2)
        return {**carry, "net": inner, "history": history, "flags": flags}, logits, {"history": history, "flags": flags}

    carry = {"net": toy.carry(21, 3), "history": jnp.zeros((3, 1, 6, 1), jnp.int32), "flags": jnp.zeros(3, bool)}
    carry |= {"key": jax.random.key(0), "nothing": (), "none": None}
    out = search(step, carry, 7, 6, size=4, n_best=4, semantics="frozen")
    for i in range(3):
        for j in range(4):
            tokens = tokens_of(out, i, j)
            seen = np.asarray(out.emitted["history"][i, j, len(tokens) - 1, 0, : len(tokens), 0])
            np.testing.assert_array_equal(seen, (7, *tokens[:-1]))
            assert bool(out.emitted["flags"][i, j, len(tokens) - 1]) == (2 in tokens[:-1])


def test_drives_the_step_that_flax_scans():
    """One Linen method: nn.scan of it gives the scores of teacher forcing, and decode the sequences."""

    class Speaker(nn.Module):
        @nn.compact
        def __call__(self, carry, token):
            carry, h = nn.OptimizedLSTMCell(8)(carry, nn.Embed(7, 8)(token))
            return carry, nn.Dense(7, kernel_init=nn.initializers.normal(2.0))(h)

    speaker = Speaker()
    carry = (jnp.ones((3, 8)), jnp.linspace(-1, 1, 24).reshape(3, 8))
    variables = speaker.init(jax.random.key(0), carry, jnp.zeros(3, jnp.int32))
    out = search(functools.partial(speaker.apply, variables), carry, 6, 5, size=4, n_best=2)

    class Forced(nn.Module):
        @nn.compact
        def __call__(self, carry, tokens):
            scan = nn.scan(Speaker, variable_broadcast="params", split_rngs={"params": False}, in_axes=1, out_axes=1)
            return scan(name="inner")(carry, tokens)[1]

    for j in range(2):
        fed = jnp.pad(out.tokens[:, j, :-1], ((0, 0), (1, 0)), constant_values=6)
        logits = Forced().apply({"params": {"inner": variables["params"]}}, carry, fed)
        log = jnp.take_along_axis(jax.nn.log_softmax(logits), out.tokens[:, j, :, None], -1)[..., 0]
        used = jnp.arange(5)[None] < (out.lengths + out.finished.astype(jnp.int32))[:, j, None]
        np.testing.assert_allclose(jnp.sum(jnp.where(used, log, 0.0), 1), out.scores[:, j], rtol=1e-4)


def test_bfloat16_and_differing_starts():
    carry = toy.tables(CHAIN, CHAIN).astype(jnp.bfloat16)
    out = jax.jit(lambda c: decode.beam(toy.chain, c, jnp.array([3, 2]), END, 3, size=2))(carry)
    assert out.scores.dtype == jnp.float32
    assert [tokens_of(out, i, 0) for i in range(2)] == [(2, 0), (0,)]
    assert out.emitted is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"semantics": "wide"}, "semantics is 'wide'"),
        ({"penalty": "length"}, "penalty is 'length'"),
        ({"unfinished": "drop"}, "unfinished is 'drop'"),
        ({"n_best": 6}, "n_best is 6"),
        ({"alpha": -1.0}, "alpha is -1.0"),
        ({"min_length": 9}, "min_length is 9"),
        ({"forbidden": (1, 4)}, "token 4 is not of the vocabulary of 4"),
        ({"forbidden": (0,)}, "end token 0 is forbidden"),
    ],
)
def test_mistakes_are_named(options, said):
    with pytest.raises(UserError, match=said):
        decode.beam(toy.chain, toy.tables(CHAIN), 3, END, 4, **options)


def test_mistakes_in_the_step_are_named():
    carry, tokens = jnp.zeros((2, 3)), jnp.zeros((2, 4))
    for step, said in (
        (lambda c, t: (c.astype(jnp.bfloat16), tokens), r"float32\[2, 3\] became bfloat16\[2, 3\]"),
        (lambda c, t: ((c, c), tokens), "structure"),
        (lambda c, t: (c, tokens[0]), "logits of shape"),
        (lambda c, t: (c, tokens, jnp.zeros(())), "emits an array of shape"),
        (lambda c, t: c, "must return"),
    ):
        with pytest.raises(UserError, match=said):
            decode.beam(step, carry, 3, END, 4)
    with pytest.raises(UserError, match="no array with a batch axis"):
        decode.beam(lambda c, t: (c, tokens), (), 3, END, 4)
    with pytest.raises(UserError, match="must agree"):
        decode.beam(lambda c, t: (c, tokens), carry, jnp.array([3, 3, 3]), END, 4)


@pytest.mark.parametrize("shape", [(3, 1000), (2, 3, 257), (4, 10)])
@pytest.mark.parametrize("k", [1, 5])
def test_the_best_by_blocks_is_top_k(rng, shape, k):
    from mmjax.decode.common import best

    late = np.zeros(shape)
    late[..., -1] = 1  # the block of the largest is the last, and equal ones stand before it
    for x in (rng.normal(size=shape), rng.integers(0, 3, shape), late, np.zeros(shape), np.full(shape, -np.inf)):
        x = jnp.asarray(x, jnp.float32)
        jax.tree.map(np.testing.assert_array_equal, tuple(jax.jit(lambda x: best(x, k))(x)), tuple(lax.top_k(x, k)))
