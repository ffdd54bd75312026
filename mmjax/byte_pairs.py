"""mmjax.text.byte_pairs, where it was before; goes with the next release."""

import sys
import warnings

from mmjax.text import byte_pairs

warnings.warn("mmjax.byte_pairs is now mmjax.text.byte_pairs", DeprecationWarning, stacklevel=2)
sys.modules[__name__] = byte_pairs
