"""Networks."""

from mmjax.ops import convolution as convolution  # for what it tells XLA, before a network is compiled
