"""Models with another temperature, seed or set of questions do not stand side
by side without a word.
"""

from eval.report.asked_alike import differences

ASKED = {"temperature": 1.0, "seed": 0, "limit": None, "questions_sha256": "a" * 64, "samples": 1}


def test_settings_that_differ_are_named_with_their_models():
    settings = {
        "base.answers.settings.json": ASKED,
        "sft.answers.settings.json": ASKED | {"model_sha256": "other"},
        "rl.answers.settings.json": ASKED | {"temperature": 0.0, "questions_sha256": "b" * 64},
        "rl.verbal.settings.json": {"seed": 7},
    }
    assert differences(settings) == [
        "The models were not asked alike, questions: "
        "aaaaaaaaaaaa: base, SFT; bbbbbbbbbbbb: RL (Algorithm 1).",
        "The models were not asked alike, temperature: 1.0: base, SFT; 0.0: RL (Algorithm 1).",
    ]


def test_models_asked_alike_need_no_word():
    settings = {f"{model}.answers.settings.json": ASKED for model in ("base", "sft")}
    assert differences(settings) == differences({}) == []


def test_names_that_begin_alike_are_two_experts():
    settings = {
        "base.answers.settings.json": ASKED | {"expert": "Qwen/Qwen2.5-VL-7B"},
        "sft.answers.settings.json": ASKED | {"expert": "Qwen/Qwen2.5-VL-72B"},
    }
    assert differences(settings) == [
        "The models were not asked alike, expert: "
        "Qwen/Qwen2.5-VL-7B: base; Qwen/Qwen2.5-VL-72B: SFT."
    ]
