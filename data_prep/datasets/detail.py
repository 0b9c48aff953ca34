"""Questions for the Detail datasets, whose publishers ask none: each image gets
one wording of its kind.

The wording is a function of the question id alone (its SHA-256), so a run, a part of it
and another machine agree.
"""

import hashlib

WORDINGS: dict[str, tuple[str, ...]] = {
    "scene": (
        "Describe the image in detail.",
        "What can be seen in this picture? Name everything of importance.",
        "Write a full description of what this image shows.",
        "Explain what is going on in the picture and what it contains.",
    ),
    "text": (
        "Describe the image in detail, with any writing that can be read in it.",
        "What does this picture show, and what does the text in it say?",
        "Write a full description of the image and of the words that appear in it.",
    ),
    "landmark": (
        "Describe the place in this image in detail. Which landmark is it?",
        "Which landmark does the picture show, and what is known about it?",
        "Name the landmark in this image and describe what can be seen of it.",
    ),
    "person": (
        "Who is in this image? Describe the person and the surroundings.",
        "Name the person in this picture and describe what can be seen.",
        "Describe the image in detail and say who appears in it.",
    ),
    "artwork": (
        "Describe this work of art in detail. What is it, and who made it?",
        "Which work of art is this? Describe its subject, its style and its maker.",
        "What does this artwork show, and to which artist and style does it belong?",
    ),
    "film": (
        "Describe this frame of a film in detail. Which film could it be from?",
        "What happens in this film scene, where, and who takes part in it?",
        "Describe the people, the place and the action in this frame of a film.",
    ),
}
"""Kind of image -> wordings."""


def detail_question(question_id: str, kind: str) -> str:
    """The wording for one question; `kind` is a key of `WORDINGS`."""
    wordings = WORDINGS[kind]
    return wordings[
        int.from_bytes(hashlib.sha256(question_id.encode()).digest()[:8], "big") % len(wordings)
    ]
