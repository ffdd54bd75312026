"""The parts of the embedded default data set; `mmjax.data.sets.sounding_scenes` is its public face."""
