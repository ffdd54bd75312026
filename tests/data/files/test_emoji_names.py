"""Names of emoji: which are variants of one, their articles, and captions that fit no other."""

from mmjax.data.files import emoji_names


def test_names_of_variants():
    same = {
        "firefighter": ("woman firefighter: dark skin tone", "man firefighter", "firefighter"),
        "holding hands": ("woman and man holding hands", "people holding hands: light skin tone, dark skin tone"),
        "red hair": ("woman: red hair", "person: medium-light skin tone, red hair"),
        "kiss": ("kiss: woman, man", "kiss: person, person, dark skin tone, light skin tone", "kiss"),
        "family": ("family: man, woman, girl",),
        "deaf": ("deaf man", "deaf person"),
        "person": ("man", "woman: light skin tone", "person"),
        "snowman": ("snowman",),
        "woman’s hat": ("woman’s hat",),
        "flag: Chad": ("flag: Chad",),
    }
    for wanted, names in same.items():
        assert {emoji_names.family(name) for name in names} == {wanted}


def test_articles():
    for name, wanted in {
        "grinning face": "a ",
        "owl": "an ",
        "umbrella": "an ",
        "unicorn": "a ",
        "grapes": "",
        "cactus": "a ",
        "face with tears of joy": "a ",
        "men holding hands": "",
        "man lifting weights": "a ",
        "eyes": "",
        "flag: United States": "a ",
        "hot springs": "",
    }.items():
        assert emoji_names.article(name) == wanted, name


def test_captions_that_would_fit_another_emoji_are_left_out():
    def one(name, *keywords):
        return emoji_names.Emoji(name[0], name, keywords, "", "")

    flags = (one("Chad", "flag"), one("Mali", "flag"))
    grin = one("grinning face", "face", "grin", "grinning face")
    found = emoji_names.captions([grin, one("fish", "Pisces"), one("shark", "Fish"), *flags, one("owl")])
    assert found["g"] == ("grinning face", "a picture of a grinning face", "face, grin")
    assert found["f"] == ("fish", "a picture of a fish", "Pisces")
    assert found["s"] == ("shark", "a picture of a shark")  # "Fish" is the name of another
    assert found["C"] == ("Chad", "a picture of a Chad")
    assert found["o"] == ("owl", "a picture of an owl")
