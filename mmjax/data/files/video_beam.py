"""`video_folder` under Apache Beam, for collections that outgrow one machine: the same cutting, mapped over the files.

The folder and the data directory must be paths that every Beam worker can open. Clips and splits are those of the local
preparation: one pipeline cuts the videos, the splits are drawn over the usable ones, a second pipeline writes them.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import pathlib
import shutil
from typing import Any

import tensorflow_datasets as tfds

from mmjax.data.files import clip_spool, prepared, video, video_clips
from mmjax.errors import UserError


@dataclasses.dataclass(eq=False)
class Config(video_clips.Config):
    """A video_clips.Config with the flags of Beam's pipelines."""

    beam: str = ""


def prepare(config: video_clips.Config, root: pathlib.Path, flags: str) -> bool:
    """Prepares under Beam's pipeline `flags`; returns whether it had to. See `prepared.prepare`."""
    try:
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise UserError("config.data.beam needs the extra `beam`: pip install 'mmjax[beam]'") from error
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    builder = prepared.build(VideoFolderBeam, Config(**values, beam=flags), root)
    download = tfds.download.DownloadConfig(beam_options=PipelineOptions(flags.split()))
    fresh = prepared.prepare(builder, download_config=download)
    shutil.rmtree(pathlib.Path(builder.data_dir) / "spool", ignore_errors=True)
    return fresh


def _cut_one(folder: str, cut: video.Cut, spool: pathlib.Path, path: str) -> dict[str, Any]:
    """In a child of its own, so that a video that ends it does not end Beam's worker, again at each retry."""
    [report] = video_clips.cut_videos(folder, cut, spool, [path], 1)
    return report


with tfds.core.registered.skip_registration():  # it has the same name, so that the local reader finds its data

    class VideoFolderBeam(video_clips.VideoFolder, tfds.core.BeamBasedBuilder):
        """Clips of the videos of one folder, cut and written by Beam pipelines."""

        name = "video_folder"

        def _extract_all(self, spool: pathlib.Path, paths: list[str]) -> list[dict[str, Any]]:
            import apache_beam as beam
            from apache_beam.options.pipeline_options import PipelineOptions

            config = self.builder_config
            work = functools.partial(_cut_one, config.path, config.cut, spool)
            with beam.Pipeline(options=PipelineOptions(config.beam.split())) as pipeline:
                videos = pipeline | beam.Create(paths)
                reports = videos | beam.Reshuffle() | beam.Map(work) | beam.Map(json.dumps)  # a video is a unit of work
                _ = reports | beam.io.WriteToText(str(spool / "reports"), num_shards=1, shard_name_template="")
            return [json.loads(line) for line in (spool / "reports").read_text().splitlines()]

        def _generate_examples(self, spool: pathlib.Path, paths: list[str]) -> Any:
            import apache_beam as beam

            files = [clip_spool.file_of(spool, path) for path in paths]
            return beam.Create(files) | beam.FlatMap(clip_spool.read)
