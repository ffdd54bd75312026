"""The report's faces that were heard: whom a voice finds among those that are kept, and what is drawn beside them."""

import re

import numpy as np
from report import fake_run

from mmjax.report.sections import heard_faces


def test_whom_a_voice_finds_by_hand(rng):
    turned = np.linspace(0, np.pi, 8)
    face = np.stack([np.cos(turned), np.sin(turned)], 1).astype(np.float32)  # the cosine falls with the distance
    voice = 3 * face
    voice[0] = face[7]  # the first is heard as the farthest
    pictures = rng.integers(0, 256, (8, 16, 16, 3), np.uint8)
    arrays = {
        "image/picture": pictures,
        "image/face": pictures[::-1].copy(),
        "audio/voice": rng.integers(-9000, 9000, (8, 4410)).astype(np.int16),
        "embedding/voice": voice,
        "embedding/face": face,
    }
    page = heard_faces.render(fake_run.read(arrays))
    cards = page.split("<article")[1:]
    assert len(cards) == 8
    found = {int(re.search(r"Example (\d)", card)[1]): int(re.search(r"number (\d) of 8", card)[1]) for card in cards}
    assert found == {0: 8} | dict.fromkeys(range(1, 8), 1)
    assert all(card.count("nearest face") == card.count("farthest face") == 3 for card in cards)
    images = [re.findall(r'src="(data:image[^"]*)"', card) for card in cards]
    true = {int(re.search(r"Example (\d)", card)[1]): own[0] for card, own in zip(cards, images, strict=True)}
    # Of the first: its picture, what is drawn, the nearest 7, 6, 5 and the farthest 2, 1, 0, in this order.
    first = next(own for card, own in zip(cards, images, strict=True) if "Example 0" in card)
    assert first[2:] == [true[i] for i in (7, 6, 5, 2, 1, 0)]
    few = heard_faces.render(fake_run.read({k: v[:6] for k, v in arrays.items()}))
    assert "nearest" not in few.split("<article", 1)[1]  # of six all are near or far
