"""Captions of drawn garments: many words for each class, many sentences around them.

A labeller trained on one sentence learns that sentence. Here every class has several words, every
sentence one of many frames, and a caption mentions some of the attributes and leaves out the others; it
comes with the classes that it mentions, so that it is right for every image that has them. The frames in
``HELD_OUT`` are never trained on: they show whether an unseen one works.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

# Attribute → class → words that can stand in a sentence's {}; the first are the schema's own.
WORDS: dict[str, dict[str, tuple[str, ...]]] = {
    "color": {
        "black": ("black", "jet black", "pitch black"),
        "white": ("white", "off-white", "snow white", "plain white"),
        "red": ("red", "bright red", "dark red", "crimson"),
        "navy": ("navy dark blue", "navy", "navy blue", "dark blue"),
        "beige": ("beige", "cream", "sand coloured", "tan"),
        "blue": ("blue", "mid blue", "light blue", "bright blue"),
        "green": ("green", "dark green", "light green", "olive green"),
        "yellow": ("yellow", "bright yellow", "mustard yellow"),
        "grey": ("grey", "gray", "light grey", "dark gray"),
        "brown": ("brown", "chocolate brown", "dark brown"),
        "pink": ("pink", "light pink", "hot pink", "rose pink"),
        "purple": ("purple", "violet", "lilac", "dark purple"),
        "orange": ("orange", "bright orange", "tangerine"),
    },
    "pattern": {
        "solid": ("solid plain single-color", "plain", "solid", "unpatterned", "plain single-colour"),
        "striped": ("striped", "stripy", "stripe", "pinstriped", "with stripes"),
        "checkered_plaid": ("checkered or plaid", "plaid", "checked", "tartan", "gingham check", "chequered"),
        "floral": ("floral", "flowery", "flower print", "floral print"),
        "geometric": ("geometric shapes", "geometric", "geometrical", "zigzag or hexagon"),
        "animal_print": ("leopard or zebra animal", "animal print", "leopard print", "zebra print"),
        "polka_dot": ("polka dot", "dotted", "spotted polka dot", "polka dots"),
        "graphic": ("graphic", "graphic print", "logo print", "with a logo or picture"),
    },
    "texture": {
        "smooth": ("smooth", "smooth and even", "flat smooth", "sleek smooth"),
        "rough_coarse": ("rough and coarse", "rough", "coarse", "nubby coarse"),
        "fluffy_furry": ("fluffy and furry", "fluffy", "furry", "hairy and soft"),
        "ribbed_structured": ("ribbed and structured", "ribbed", "structured", "with ribs"),
        "sheer": ("sheer see-through", "sheer", "see-through", "transparent"),
    },
    "material": {
        "cotton": ("cotton", "woven cotton", "cotton cloth"),
        "silk_satin": ("silk or satin", "satin", "silky"),
        "leather": ("leather", "leather-like"),
        "synthetic": ("synthetic plastic-like", "plastic-like", "rubbery synthetic"),
        "denim": ("denim", "jeans denim"),
        "knitwear": ("knitted", "knit", "knitwear"),
        "pile": ("pile", "deep pile", "plush pile"),
        "sheer_open": ("sheer open-weave", "open-weave", "airy net-like"),
    },
    "folder": {
        "canvas": ("canvas",),
        "chambray": ("chambray",),
        "chenille": ("chenille",),
        "chiffon": ("chiffon",),
        "corduroy": ("corduroy", "cord"),
        "crepe": ("crepe",),
        "denim": ("denim", "jean"),
        "faux_fur": ("faux fur", "fur"),
        "faux_leather": ("faux leather", "leather"),
        "flannel": ("flannel",),
        "fleece": ("fleece",),
        "gingham": ("gingham cloth",),
        "jersey": ("jersey",),
        "knit": ("knit", "knitted wool"),
        "lace": ("lace",),
        "lawn": ("lawn",),
        "neoprene": ("neoprene",),
        "organza": ("organza",),
        "plush": ("plush",),
        "satin": ("satin",),
        "serge": ("serge",),
        "taffeta": ("taffeta",),
        "tulle": ("tulle",),
        "tweed": ("tweed",),
        "twill": ("twill",),
        "velvet": ("velvet",),
        "vinyl": ("vinyl",),
    },
}
# The kind of garment is random on purpose: naming one must not change the words for its cloth.
NOUNS = (
    *("garment", "clothing", "fabric", "cloth", "textile", "apparel", "item", "piece of clothing"),
    *("dress", "shirt", "skirt", "jumper", "coat", "jacket", "pair of trousers", "scarf", "t-shirt", "top"),
)
FRAMES: dict[str, tuple[str, ...]] = {
    "any": (
        "{}",
        "a {} garment",
        "a photo of a {} garment",
        "a photo of {} clothing",
        "{} clothing",
        "{} fabric",
        "a close-up of {} fabric",
        "a close-up of {} cloth",
        "a product photo of {} apparel",
        "a picture of a {} {noun}",
        "the {noun} is {}",
        "this {noun} is {}",
        "a {} {noun}",
        "an image of {} {noun}",
        "a shop photo of a {} {noun}",
        "a {} {noun} on a hanger",
        "a {} {noun} lying flat",
    ),
    "color": (
        "clothing whose main color is {}",
        "the color of the {noun} is {}",
        "{} coloured {noun}",
        "its main colour is {}",
        "a {noun} in {}",
    ),
    "pattern": (
        "a garment with a {} pattern",
        "a close-up of a {} textile print",
        "fashion item, {} design",
        "a {noun} with a {} print",
        "the pattern is {}",
        "{} patterned {noun}",
    ),
    "texture": (
        "fabric with a {} texture",
        "a garment made of {} material",
        "clothing that looks {}",
        "the surface of the fabric is {}",
        "the cloth feels {}",
        "a {noun} with a {} surface",
    ),
    "material": (
        "a garment made of {}",
        "clothing whose fabric is {}",
        "a {noun} made of {}",
        "the fabric is {}",
        "{} material",
    ),
}
FRAMES["folder"] = FRAMES["material"]
HELD_OUT: dict[str, tuple[str, ...]] = {
    "color": ("a snapshot of something {} to wear", "{} is the colour of this outfit"),
    "pattern": ("a snapshot of something {} to wear", "this outfit shows a {} motif"),
    "texture": ("a snapshot of something {} to wear", "to the touch this outfit is {}"),
    "material": ("a snapshot of something {} to wear", "this outfit was sewn from {}"),
}
_WRAPPERS = (
    "{}",
    "a {}",
    "a photo of a {}",
    "a close-up of a {}",
    "a product photo: {}",
    "one {}, front view",
)


@dataclass(frozen=True)
class Caption:
    """A sentence and the classes that it mentions.

    Attributes:
        text: The sentence.
        classes: Attribute → class of everything that it mentions; at least one.
    """

    text: str
    classes: Mapping[str, str]


def class_prompts(attribute: str, rng: np.random.Generator) -> list[str]:
    """One prompt for each class of an attribute, in one frame drawn at random.

    Args:
        attribute: ``color``, ``pattern``, ``texture``, ``material`` or ``folder``.
        rng: Source of randomness.

    Returns:
        As many prompts as ``WORDS[attribute]`` has classes, in its order.

    Raises:
        ValueError: If the attribute is unknown.
    """
    if attribute not in WORDS:
        raise ValueError(f"attribute {attribute!r} has no words; allowed: {', '.join(WORDS)}")
    frames = FRAMES[attribute] + FRAMES["any"]
    # An attribute's own frames name what is asked; they get half of the draws.
    own = rng.random() < 0.5
    frame = _pick(FRAMES[attribute] if own else frames, rng).replace("{noun}", _pick(NOUNS, rng))
    # Half of the time the schema's own words, else any.
    plain = rng.random() < 0.5
    return [frame.format(words[0] if plain else _pick(words, rng)) for words in WORDS[attribute].values()]


def caption(labels: Mapping[str, str], rng: np.random.Generator) -> Caption:
    """A sentence about an image, such as "a photo of a sheer navy striped chiffon dress".

    Args:
        labels: Attribute → class; ``color``, ``pattern``, ``texture`` and ``folder`` may be mentioned, other
            keys are ignored.
        rng: Source of randomness.

    Returns:
        The sentence, which mentions one or more of the attributes.

    Raises:
        ValueError: If a label is missing or has no words.
    """
    order = ("texture", "color", "pattern", "folder")
    for name in order:
        if labels.get(name) not in WORDS[name]:
            raise ValueError(
                f"labels: {name} is {labels.get(name)!r}; allowed: {', '.join(map(str, WORDS[name]))}"
            )
    mentioned = [name for name, chosen in zip(order, rng.random(len(order)) < 0.6, strict=True) if chosen]
    mentioned = mentioned or [_pick(order, rng)]
    words = " ".join(_pick(WORDS[name][labels[name]], rng) for name in mentioned)
    text = _pick(_WRAPPERS, rng).format(f"{words} {_pick(NOUNS, rng)}")
    return Caption(text, {name: labels[name] for name in mentioned})


def corpus(rng: np.random.Generator, n: int = 4000) -> list[str]:
    """Sentences to learn a vocabulary from: every prompt of every frame, and n captions."""
    every = [
        frame.replace("{noun}", noun).format(word)
        for attribute, classes in WORDS.items()
        for words in classes.values()
        for word in words
        for frame in FRAMES[attribute] + FRAMES["any"]
        for noun in (NOUNS if "{noun}" in frame else NOUNS[:1])
    ]
    names = ("color", "pattern", "texture", "folder")
    drawn = [caption({a: _pick(tuple(WORDS[a]), rng) for a in names}, rng).text for _ in range(n)]
    return every + drawn


def _pick(options: tuple[str, ...], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]
