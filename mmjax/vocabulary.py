"""mmjax.text.vocabulary, where it was before; goes with the next release."""

import sys
import warnings

from mmjax.text import vocabulary

warnings.warn("mmjax.vocabulary is now mmjax.text.vocabulary", DeprecationWarning, stacklevel=2)
sys.modules[__name__] = vocabulary
