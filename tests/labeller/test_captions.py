import numpy as np
import pytest

from swatchbook.drawn import FOLDERS, LABELS
from swatchbook.labeller.training.captions import FRAMES, HELD_OUT, WORDS, caption, class_prompts, corpus
from swatchbook.schema import Schema

NAVY_STRIPES = {"color": "navy", "pattern": "striped", "texture": "sheer", "folder": "chiffon", "split": "x"}


def test_every_class_that_can_be_drawn_has_words():
    assert tuple(WORDS["folder"]) == tuple(sorted(FOLDERS))
    for attribute, classes in LABELS.items():
        assert set(WORDS[attribute]) == set(classes)


def test_no_two_classes_of_an_attribute_share_a_word():
    for classes in WORDS.values():
        words = [word for several in classes.values() for word in several]
        assert len(words) == len(set(words))


def test_the_schemas_own_words_and_sentences_are_taught():
    for attribute in Schema.load("textilenet", folder_map="construction"):
        for label, word in attribute.surface.items():
            assert WORDS[attribute.name][label][0] == word
        assert set(attribute.templates) <= set(FRAMES[attribute.name] + FRAMES["any"])


def test_held_out_sentences_are_never_taught(rng):
    taught = {frame for frames in FRAMES.values() for frame in frames}
    sentences = corpus(rng, n=500)
    for frames in HELD_OUT.values():
        for frame in frames:
            assert frame not in taught
            start, end = frame.split("{}")
            assert not any(s.startswith(start) and s.endswith(end) for s in sentences)


def test_a_caption_mentions_the_classes_that_it_comes_with(rng):
    mentioned = set()
    for _ in range(300):
        made = caption(NAVY_STRIPES, rng)
        assert made.classes and made.classes.items() <= NAVY_STRIPES.items()
        for attribute, label in made.classes.items():
            assert any(word in made.text for word in WORDS[attribute][label])
        mentioned.add(tuple(made.classes))
    assert len(mentioned) == 15, "every non-empty choice of the four attributes occurs"


def test_a_caption_mentions_no_other_class(rng):
    for _ in range(300):
        made = caption(NAVY_STRIPES, rng)
        for attribute in set(WORDS) - set(made.classes) - {"material"}:
            assert not any(
                f" {word} " in f" {made.text} " for word in WORDS[attribute][NAVY_STRIPES[attribute]]
            )


@pytest.mark.parametrize("attribute", WORDS)
def test_prompts_are_one_a_class_in_order_and_in_one_sentence(attribute, rng):
    for _ in range(30):
        prompts = class_prompts(attribute, rng)
        frames = [
            {prompt.replace(word, "{}", 1) for word in words if word in prompt}
            for prompt, words in zip(prompts, WORDS[attribute].values(), strict=True)
        ]
        assert set.intersection(*frames)
        assert "{noun}" not in prompts[0]


def test_the_same_seed_gives_the_same_captions():
    first, second = (
        [caption(NAVY_STRIPES, np.random.default_rng(7)).text for _ in range(3)] for _ in range(2)
    )
    assert first == second


def test_unknown_words_are_refused(rng):
    with pytest.raises(ValueError, match=r"color is 'teal'; allowed: black, white"):
        caption(NAVY_STRIPES | {"color": "teal"}, rng)
    with pytest.raises(ValueError, match=r"pattern is None"):
        caption({"color": "red", "texture": "smooth", "folder": "lawn"}, rng)
    with pytest.raises(ValueError, match=r"'shape' has no words; allowed: color"):
        class_prompts("shape", rng)
