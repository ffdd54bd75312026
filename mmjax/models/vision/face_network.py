"""A small face network: features of a face, and from them alone whom it is most like."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from mmjax.errors import OptionError
from mmjax.models.blocks import options, stages
from mmjax.models.blocks.pictures import mean_and_max, pyramid

THUMBNAIL = 8  # pixels a side of the picture that the features are asked for


class FaceNetwork(nn.Module):
    """The face network of the default data: as VGG-Face, features from which one layer tells identities apart.

    Attributes:
      identities: classes of the last layer.
      features: d.
      widths: channels at strides 4, 8 and 16.
      depths: blocks at each of these strides.
      mouth: whether the features are asked for the mouth's shape, too.
      dtype: compute dtype; parameters and statistics stay float32.
    """

    identities: int
    features: int = 128
    widths: tuple[int, ...] = (24, 48, 96)
    depths: tuple[int, ...] = (1, 1, 2)
    mouth: bool = False
    dtype: Any = jnp.float32

    def __post_init__(self) -> None:
        stages.paired(self.widths, self.depths)
        super().__post_init__()

    def checked(self) -> FaceNetwork:
        """Itself; raises OptionError for a number that is out of its range."""
        options.sizes(self, "identities", "features", "widths", "depths")
        if not self.widths:
            raise OptionError("widths", "is (): without stages there are no features")
        options.floating(self.dtype)
        return self

    @nn.compact
    def __call__(self, face: Num[Array, "b h w 3"], *, train: bool = False) -> dict[str, Array]:
        """Runs the network.

        Args:
          face: RGB, 0..255; h and w multiples of 16.
          train: use batch statistics; the collection "state" must then be mutable.

        Returns:
          "features" [b d]; "identity" [b identities], logits that the last layer makes of the features alone;
          "thumbnail" [b 8 8 3], the picture's colours about zero as one layer guesses them from the features; with
          `mouth` "mouth" [b 2], likewise how it is open and round, see data.spec. float32.
        """
        features = _features(face, self, train)
        thumbnail = nn.Dense(THUMBNAIL * THUMBNAIL * 3, name="thumbnail")(features)
        found = {
            "features": features,
            "identity": nn.Dense(self.identities, name="identity")(features),
            "thumbnail": thumbnail.reshape(-1, THUMBNAIL, THUMBNAIL, 3),
        }
        return found | ({"mouth": nn.Dense(2, name="mouth")(features)} if self.mouth else {})


class FaceEmbedding(nn.Module):
    """The same network without identities: what it is to know of a face, the way its mouth is open, others say.

    Attributes:
      features, widths, depths, dtype: see `FaceNetwork`.
    """

    features: int = 64
    widths: tuple[int, ...] = (8, 16, 32)
    depths: tuple[int, ...] = (1, 1, 1)
    dtype: Any = jnp.float32

    def __post_init__(self) -> None:
        stages.paired(self.widths, self.depths)
        super().__post_init__()

    @nn.compact
    def __call__(self, face: Num[Array, "b h w 3"], *, train: bool = False) -> Float[Array, "b d"]:
        """Features of faces, RGB, 0..255, whose h and w are multiples of 16; `train` as for `FaceNetwork`."""
        return _features(face, self, train)


def _features(face: Array, network: Any, train: bool) -> Array:
    x = pyramid(face, network, train=train)
    # Where a chin or a brow is tells its size: the map is read place by place, and not only its mean.
    places = jax.nn.relu(nn.Dense(16, name="places")(x.astype(jnp.float32))).reshape(x.shape[0], -1)
    features = nn.Dense(network.features, name="features")
    return features(jnp.concatenate([mean_and_max(x), places], -1))
