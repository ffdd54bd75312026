"""Operations of which the standard forms are missing, slow or wrong somewhere: each alone, pure, of arrays only."""

from mmjax.ops import compiler

compiler.convolutions_by_eigen()  # here, since every network imports some operation before it first computes
