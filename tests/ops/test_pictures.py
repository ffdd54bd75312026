"""Pieces of films and shaken pictures: what is cut out, what is mirrored, and by how much colours change."""

import jax
import jax.numpy as jnp
import numpy as np

from mmjax.ops import pictures


def test_the_middle():
    x = jnp.arange(6 * 8).reshape(1, 6, 8)
    np.testing.assert_array_equal(pictures.middle(x, 4)[0], x[0, 1:5, 2:6])


def test_pieces_are_one_place_of_a_film_everywhere_and_mirrored_half_of_the_time(rng):
    films = rng.permutation(64 * 3 * 6 * 7).reshape(64, 3, 6, 7).astype(np.int32)
    found = np.asarray(jax.jit(lambda k, x: pictures.drawn_pieces(k, x, 5))(jax.random.key(0), films))
    places, mirrored = set(), 0
    for film, piece in zip(films, found):
        fits = [
            (top, left, turned)
            for top in (0, 1)
            for left in (0, 1, 2)
            for turned in (False, True)
            if (film[:, top : top + 5, left : left + 5][:, :, :: -1 if turned else 1] == piece).all()
        ]
        assert len(fits) == 1
        places.add(fits[0][:2])
        mirrored += fits[0][2]
    assert len(places) == 6
    assert 16 < mirrored < 48
    whole = jax.jit(lambda k, x: pictures.drawn_pieces(k, x, 6))(jax.random.key(1), films[..., :6])
    assert np.array_equal(np.sort(whole, -1), np.sort(films[..., :6], -1))


def test_shaken_pictures_keep_their_hue(rng):
    image = np.zeros((64, 1, 2, 3), np.uint8)
    image[:, 0, 0], image[:, 0, 1] = (100, 50, 20), (80, 80, 80)
    found = np.asarray(jax.jit(lambda k, x: pictures.shaken(k, x, 0.7, 1.3))(jax.random.key(0), image))
    mirrored = found[:, 0, 0, 0] == found[:, 0, 0, 1]  # the grey one stays grey
    assert 16 < mirrored.sum() < 48
    grey, bright = (np.where(mirrored[:, None], found[:, 0, i], found[:, 0, 1 - i]) for i in (0, 1))
    light = grey[:, 0] / 80
    assert 0.7 <= light.min() < 0.76
    assert 1.24 < light.max() <= 1.3
    luma = 0.299 * 100 + 0.587 * 50 + 0.114 * 20
    colour = (bright / light[:, None] - luma) / (np.array([100, 50, 20]) - luma)
    np.testing.assert_allclose(colour, np.broadcast_to(colour[:, :1], colour.shape), rtol=1e-3)
    assert 0.7 <= colour.min() < 0.76
    assert 1.24 < colour.max() <= 1.3001
