"""What is put on last."""


def add(tailor) -> None:
    """Adds neckwear, headgear and things worn on the back."""
    d, builder = tailor.d, tailor.builder
    tie = tailor.cloth("hair_tie", "accessory", d.accent_color)
    builder.add(tie, *tailor.hair.extras)
