"""Whose face is where from picture to picture: golden boxes by a detector that is told."""

import numpy as np

from mmjax.data.files import face_tracks
from mmjax.data.files.face_tracks import Track


def test_overlap_by_hand():
    assert face_tracks.overlap((0, 0, 4, 4), (2, 0, 6, 4)) == 8 / 24
    assert face_tracks.overlap((0, 0, 4, 4), (4, 4, 8, 8)) == face_tracks.overlap((0, 0, 4, 4), (5, 5, 6, 6)) == 0


def test_faces_are_followed():
    """Two that move and are overlooked at times, one that comes once, in whatever order the detector names them."""
    left, right = [(x, 0, x + 10, 10) for x in range(8)], [(50, 20 - x, 70, 40 - x) for x in range(8)]
    told = [[left[i], right[i]][:: 1 if i % 2 else -1] for i in range(8)]
    told[2], told[5] = [right[2]], [left[5]]
    told[6] = [left[6], (80, 80, 90, 90)]
    told[7] = [left[7]]
    looks = ((10 * i, np.full((1, 1, 3), i, np.uint8)) for i in range(8))
    found = face_tracks.tracks(looks, lambda picture: told[picture[0, 0, 0]])
    assert [track.at for track in found] == [[0, 10, 30, 40, 50, 60, 70], [0, 10, 20, 30, 40]]
    assert found[0].boxes == [left[i] for i in (0, 1, 3, 4, 5, 6, 7)]
    assert found[1].boxes == right[:5]


def test_a_box_goes_straight_from_search_to_search_and_does_not_tremble():
    track = Track([2, 4, 6, 8, 10], [(0, 0, 10, 10), (4, 0, 14, 10), (90, 0, 99, 9), (4, 4, 14, 14), (4, 4, 14, 14)])
    over = track.over(14)
    assert len(over) == 14
    assert over[0] == over[2] == (0, 0, 10, 10)  # the first alone
    assert over[3] == (2, 0, 12, 10)  # halfway from search to search
    assert over[4] == (4, 0, 14, 10)  # the median of the first three
    assert over[6] == (4, 0, 14, 10)  # of all five
    assert over[7] == (4, 2, 14, 12)
    assert over[8] == (4, 4, 14, 14)  # of the last three
    assert over[10] == over[13] == (4, 4, 14, 14)
