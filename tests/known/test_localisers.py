"""Networks of localisation by name: what is refused in one line, and the object prior as the mean size of features."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from mmjax.errors import OptionError, UserError
from mmjax.known import localisers, recogniser
from mmjax.models.joint.localiser import Localiser
from mmjax.systems.localising.localisation_figures import Measured, Truth


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: localisers.looked_at("vgg19", "", 0), "picture is 'vgg19': choose 'recogniser' or 'vgg16'"),
        (lambda: localisers.looked_at("vgg16", "", 320), "weights is empty"),
        (lambda: localisers.listened_to(""), "soundnet is empty: give the workdir"),
        (lambda: localisers.object_prior("vgg16"), "name is 'vgg16': choose 'recogniser'"),
        (lambda: localisers.object_prior("resnet18"), "weights is empty: give the path of torchvision's"),
    ],
)
def test_what_is_wrong_is_one_line(call, said):
    with pytest.raises(OptionError, match=said):
        call()


def test_no_weights_of_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match=r"lvs\.pth"):
        localisers.released(str(tmp_path / "lvs.pth"), Localiser("resnet18", 512, 0, 1))
    with pytest.raises(UserError, match=r"resnet18\.pth"):
        localisers.imagenet(str(tmp_path / "resnet18.pth"))


def test_the_object_prior_is_the_mean_size_of_features(rng):
    prior = localisers.object_prior("recogniser")
    parts = prior.fill(jax.eval_shape(prior.init, jax.random.key(0), jnp.zeros((1, 112, 112, 3), jnp.uint8)))
    image = rng.integers(0, 256, (2, 112, 112, 3)).astype(np.uint8)
    measured = Measured(None, prior, Truth())
    found = measured.objects({"frozen": {"prior": parts["frozen"]}}, {"image": image})
    features = recogniser.load().model.apply(recogniser.weights(), image)["map"]
    np.testing.assert_allclose(found, np.abs(features).mean(-1), rtol=1e-5)
    assert localisers.object_prior("") is None
