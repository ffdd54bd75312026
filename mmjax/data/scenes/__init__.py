"""The parts of the embedded default data set; `mmjax.data.sounding_scenes` is its public face."""
