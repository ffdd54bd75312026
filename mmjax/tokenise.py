"""mmjax.text.tokenise, where it was before; goes with the next release."""

import sys
import warnings

from mmjax.text import tokenise

warnings.warn("mmjax.tokenise is now mmjax.text.tokenise", DeprecationWarning, stacklevel=2)
sys.modules[__name__] = tokenise
