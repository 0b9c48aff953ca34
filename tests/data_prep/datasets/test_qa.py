"""The five QA datasets of Table 13, each from a miniature in its publisher's format."""

import pytest

from data_prep.questions import SourceQuestion
from reward_fns.accuracy import vqa_accuracy
from reward_fns.errors import UserError


def ten(*answers):
    """VQA's list of ten annotators' answers; the last one fills up."""
    filled = [*answers, *[answers[-1]] * (10 - len(answers))]
    return [
        {"answer": a, "answer_confidence": "yes", "answer_id": i + 1} for i, a in enumerate(filled)
    ]


VQA_HEAD = {
    "info": {"version": "2.0"},
    "data_type": "mscoco",
    "data_subtype": "val2014",
    "license": {},
}


def vqa_files(put, prefix, answers):
    questions = [
        {"image_id": 262148, "question": "Where is he looking?", "question_id": 262148000},
        {"image_id": 262148, "question": "What are the people doing?", "question_id": 262148001},
    ]
    annotations = [
        {
            "question_id": 262148001,
            "image_id": 262148,
            "answers": answers,
            "multiple_choice_answer": "watching",
        },
        {
            "question_id": 262148000,
            "image_id": 262148,
            "answers": ten("down"),
            "multiple_choice_answer": "down",
        },
    ]
    head = VQA_HEAD | {"task_type": "Open-Ended"}
    put(f"{prefix}OpenEnded_mscoco_val2014_questions.json", head | {"questions": questions})
    put(f"{prefix}mscoco_val2014_annotations.json", VQA_HEAD | {"annotations": annotations})


@pytest.mark.parametrize(("name", "prefix"), [("VQAv2", "v2_"), ("OK-VQA", "")])
def test_vqa_joins_questions_and_answers_by_id(put, read, tmp_path, name, prefix):
    vqa_files(put, prefix, ten("spectating", "watching"))
    questions, rejected = read(name)
    assert not rejected
    assert questions == [
        SourceQuestion(
            question_id=f"{name}/262148000",
            dataset=name,
            task="QA",
            question="Where is he looking?",
            image_id="coco/262148",
            image=tmp_path / "val2014/COCO_val2014_000000262148.jpg",
            ground_truth="down",
            answers=("down",) * 10,
        ),
        SourceQuestion(
            question_id=f"{name}/262148001",
            dataset=name,
            task="QA",
            question="What are the people doing?",
            image_id="coco/262148",
            image=tmp_path / "val2014/COCO_val2014_000000262148.jpg",
            ground_truth="watching",  # nine of ten
            answers=("spectating", *["watching"] * 9),
        ),
    ]


def test_ok_vqa_takes_what_was_said_and_not_its_stem(put, read):
    said = ["cars"] * 6 + ["people advancing"] * 4
    stems = ["car"] * 6 + ["people advance"] * 4
    answers = [
        {"answer": stem, "raw_answer": raw, "answer_confidence": "yes", "answer_id": i}
        for i, (stem, raw) in enumerate(zip(stems, said, strict=True), start=1)
    ]
    vqa_files(put, "", answers)
    question = read("OK-VQA")[0][1]
    assert (question.ground_truth, question.answers) == ("cars", tuple(said))
    assert vqa_accuracy("cars", question.answers) == 1.0


def test_a_malformed_record_is_named_and_the_others_go_on(put, read):
    vqa_files(put, "v2_", [{"answer_id": 1}])
    questions, rejected = read("VQAv2")
    assert [question.question_id for question in questions] == ["VQAv2/262148000"]
    assert [(item.dataset, item.place, item.reason, item.detail) for item in rejected] == [
        (
            "VQAv2",
            "v2_OpenEnded_mscoco_val2014_questions.json question 1",
            "malformed record",
            "no answer",
        )
    ]


def test_textvqa(put, read, tmp_path):
    answers = ["nokia"] * 8 + ["toshiba", "nous les"]
    item = {
        "question": "what is the brand of this camera?",
        "image_id": "003a8ae2ef43b901",
        "image_classes": ["Cassette deck"],
        "flickr_original_url": "https://example.org/o.jpg",
        "image_width": 1024,
        "image_height": 664,
        "answers": answers,
        "question_tokens": ["what", "is"],
        "question_id": 34602,
        "set_name": "val",
    }
    content = {
        "dataset_type": "val",
        "dataset_name": "textvqa",
        "dataset_version": "0.5.1",
        "data": [item, {}],
    }
    put("TextVQA_0.5.1_val.json", content)
    questions, rejected = read("TextVQA")
    assert questions == [
        SourceQuestion(
            "TextVQA/34602",
            "TextVQA",
            "QA",
            "what is the brand of this camera?",
            "openimages/003a8ae2ef43b901",
            tmp_path / "train_images/003a8ae2ef43b901.jpg",
            "nokia",
            tuple(answers),
        )
    ]
    assert [item.detail for item in rejected] == ["no image_id"]


def gqa_file(put):
    record = {
        "semantic": [{"operation": "select", "dependencies": [], "argument": "sky (2486325)"}],
        "entailed": [],
        "equivalent": ["05451384"],
        "question": "Is the sky dark?",
        "imageId": "2375429",
        "isBalanced": True,
        "answer": "yes",
        "fullAnswer": "Yes, the sky is dark.",
        "types": {"detailed": "existAttr"},
    }
    put(
        "val_balanced_questions.json",
        {"05451384": record, "05451385": {"question": "Is it?", "answer": "no"}},
    )


def test_gqa(put, read, tmp_path):
    gqa_file(put)
    questions, rejected = read("GQA")
    assert questions == [
        SourceQuestion(
            "GQA/05451384",
            "GQA",
            "QA",
            "Is the sky dark?",
            "visual-genome/2375429",
            tmp_path / "images/2375429.jpg",
            "yes",
            ("yes",),
        )
    ]
    assert [(item.place, item.detail) for item in rejected] == [
        ("val_balanced_questions.json question 05451385", "no imageId")
    ]


def test_gqa_images_that_are_cocos_get_cocos_id(put, read):
    gqa_file(put)
    put(
        "image_data.json",
        [{"image_id": 1, "coco_id": None}, {"image_id": 2375429, "coco_id": 391895}],
    )
    assert read("GQA")[0][0].image_id == "coco/391895"


def test_ocr_vqa_asks_each_question_of_the_covers_of_its_split(put, read, tmp_path):
    cover = {
        "imageURL": "http://ecx.images-amazon.com/images/I/51UWVBoE%2BSL.gif",
        "questions": ["Who wrote this book?", "Is this a sociopolitical book?"],
        "answers": ["Sandra Boynton", "No"],
        "title": "Mom's Family Wall Calendar 2016",
        "authorName": "Sandra Boynton",
        "genre": "Calendars",
        "split": 2,
    }
    short = cover | {"answers": ["only one"]}
    put(
        "dataset.json",
        {"761183272": cover, "1": cover | {"split": 1}, "2": short, "3": {"questions": []}},
    )
    questions, rejected = read("OCR-VQA", split="val")
    assert [question.question_id for question in questions] == [
        "OCR-VQA/761183272-0",
        "OCR-VQA/761183272-1",
        "OCR-VQA/2-0",
    ]
    assert questions[1] == SourceQuestion(
        "OCR-VQA/761183272-1",
        "OCR-VQA",
        "QA",
        "Is this a sociopolitical book?",
        "ocr-vqa/761183272",
        tmp_path / "images/761183272.gif",
        "No",
        ("No",),
    )
    assert [(item.place, item.detail) for item in rejected] == [
        ("dataset.json cover 2 question 1", "list index out of range"),
        ("dataset.json cover 3", "no split"),
    ]
    put("images/761183272.jpg", b"")  # saved as .jpg whatever the URL says
    put("images/2.gif", b"")
    names = [question.image.name for question in read("OCR-VQA")[0]]
    assert names == ["761183272.jpg", "761183272.jpg", "2.gif"]
    with pytest.raises(
        UserError, match="OCR-VQA has no split 'dev': choose one of train, val, test"
    ):
        read("OCR-VQA", split="dev")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("VQAv2", "v2_OpenEnded_mscoco_val2014_questions.json"),
        ("OK-VQA", "OpenEnded_mscoco_val2014_questions.json"),
        ("TextVQA", "TextVQA_0.5.1_val.json"),
        ("GQA", "val_balanced_questions.json"),
        ("OCR-VQA", "dataset.json"),
    ],
)
def test_a_missing_broken_or_foreign_file_is_named_with_its_remedy(put, read, name, file):
    with pytest.raises(UserError, match=f"no .*{file}: unpack it there as published"):
        read(name)
    if "mscoco" in file:
        put(file.replace("OpenEnded_", "").replace("questions", "annotations"), {"annotations": []})
    put(file, '{"questions": [')
    with pytest.raises(UserError, match=f"{file} is (not JSON|broken at item 0) .*: fetch it anew"):
        read(name)
    put(file, "[]")
    with pytest.raises(UserError, match=f"{file} holds no JSON object"):
        read(name)
