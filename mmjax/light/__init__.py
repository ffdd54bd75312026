"""How much a trained run weighs, beside lighter ones: what `mmjax light` is made of."""
