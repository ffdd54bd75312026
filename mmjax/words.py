"""`python -m mmjax.words`, as `mmjax words` was called before there was one command; goes with the next release."""

from __future__ import annotations

import sys

from mmjax import tools

if __name__ == "__main__":
    print("python -m mmjax.words is now `mmjax words`", file=sys.stderr)
    sys.exit(tools.run("words", sys.argv[1:], "python -m mmjax.words", "mmjax.words"))
