"""The nine Detail datasets of Table 13, each from a miniature in its publisher's format."""

import pytest

from data_prep.datasets.detail import WORDINGS, detail_question
from data_prep.questions import SourceQuestion
from reward_fns.errors import UserError


def conversation(image, caption="A clock on a wall."):
    turns = [{"from": "human", "value": "Describe it.\n<image>"}, {"from": "gpt", "value": caption}]
    return {
        "id": image.rpartition("/")[2].partition(".")[0],
        "image": image,
        "conversations": turns,
    }


def test_the_wording_depends_on_the_question_id_alone_and_all_wordings_are_used():
    for kind, wordings in WORDINGS.items():
        drawn = [detail_question(f"COCO/{i}", kind) for i in range(200)]
        assert drawn == [detail_question(f"COCO/{i}", kind) for i in range(200)]
        assert set(drawn) == set(wordings)


def test_lcs_558k(put, read, tmp_path):
    put(
        "blip_laion_cc_sbu_558k.json",
        [conversation("00453/004539375.jpg", "select luxury furniture")],
    )
    assert read("LCS-558K") == (
        [
            SourceQuestion(
                "LCS-558K/004539375",
                "LCS-558K",
                "Detail",
                detail_question("LCS-558K/004539375", "scene"),
                "lcs/004539375",
                tmp_path / "images/00453/004539375.jpg",
                "select luxury furniture",
                ("select luxury furniture",),
            )
        ],
        [],
    )


SHAREGPT4V = "sharegpt4v_instruct_gpt4-vision_cap100k.json"


@pytest.mark.parametrize(
    ("name", "image", "image_id"),
    [
        ("sharegpt4v-textvqa", "share_textvqa/images/0a1b.jpg", "openimages/0a1b"),
        ("sharegpt4v-web-landmark", "web-landmark/images/b.jpg", "sharegpt4v/web-landmark/b"),
        ("sharegpt4v-web-celebrity", "web-celebrity/images/c.jpg", "sharegpt4v/web-celebrity/c"),
        ("sharegpt4v-wikiart", "wikiart/images/d.jpg", "sharegpt4v/wikiart/d"),
    ],
)
def test_sharegpt4v_has_four_subsets_in_one_file(put, read, tmp_path, name, image, image_id):
    folders = (
        "coco/train2017/a",
        "share_textvqa/images/0a1b",
        "web-landmark/images/b",
        "web-celebrity/images/c",
    )
    put(
        SHAREGPT4V,
        [conversation(f"{path}.jpg") for path in (*folders, "wikiart/images/d", "sam/images/e")],
    )
    (question,), rejected = read(name)
    assert not rejected
    assert (question.dataset, question.image_id, question.image) == (
        name,
        image_id,
        tmp_path / "data" / image,
    )
    assert (question.task, question.ground_truth) == ("Detail", "A clock on a wall.")


def test_a_conversation_without_a_caption_is_rejected(put, read):
    silent = conversation("wikiart/images/d.jpg") | {
        "conversations": [{"from": "human", "value": "<image>"}]
    }
    put(SHAREGPT4V, [silent, {"conversations": []}, conversation("wikiart/images/e.jpg", " ")])
    questions, rejected = read("sharegpt4v-wikiart")
    assert not questions
    assert [item.detail for item in rejected] == ["no turn of gpt", "no image", "value is empty"]


LANDMARK_NAMES = (
    "landmark_id,category\n"
    "1,http://commons.wikimedia.org/wiki/Category:Haus_Neindorf\n"
    "2,http://commons.wikimedia.org/wiki/Category:Ch%C3%A2teau_d%27If\n"
    "4,http://commons.wikimedia.org/wiki/Category:Sowjetischer_Ehrenfriedhof_Baruth/Mark\n"
)


def test_google_landmark_names_the_landmark_as_its_category_does(put, read, tmp_path):
    put("train_label_to_category.csv", LANDMARK_NAMES)
    put(
        "train.csv",
        "id,url,landmark_id\n"
        "6e158a47eb2ca3f6,https://upload.example/a.jpg,1\n"
        'a1b2c3d4e5f60718,"https://upload.example/b,c.jpg",2\n'
        "0000000000000000,https://upload.example/d.jpg,3\n"
        "000000000000000a,https://upload.example/e.jpg,4\n"
        "torn line\n",
    )
    questions, rejected = read("Google-Landmark")
    assert questions[0] == SourceQuestion(
        "Google-Landmark/6e158a47eb2ca3f6",
        "Google-Landmark",
        "Detail",
        detail_question("Google-Landmark/6e158a47eb2ca3f6", "landmark"),
        "google-landmark/6e158a47eb2ca3f6",
        tmp_path / "train/6/e/1/6e158a47eb2ca3f6.jpg",
        "The landmark is Haus Neindorf.",
        ("Haus Neindorf",),
    )
    assert questions[1].answers == ("Château d'If",)
    assert questions[2].answers == ("Sowjetischer Ehrenfriedhof Baruth/Mark",)  # the name's slash
    assert [(item.place, item.detail) for item in rejected] == [
        ("train.csv line 4", "landmark_id 3 has no category"),
        ("train.csv line 6", "has 1 fields instead of 3"),
    ]


def test_google_landmark_with_other_columns_is_refused(put, read):
    put("train_label_to_category.csv", LANDMARK_NAMES)
    put("train.csv", "landmark_id,images\n1,6e158a47eb2ca3f6\n")
    with pytest.raises(UserError, match="train.csv must start with the columns id,url,landmark_id"):
        read("Google-Landmark")


ART_COLUMNS = [
    "author_name",
    "painting_name",
    "image_url",
    "Genre",
    "Style",
    "Nationality",
    "Date",
    "Field",
    "Path",
]


@pytest.mark.parametrize("delimiter", ["\t", "|"])
def test_art500k_reads_the_whole_list_with_the_names_of_its_head_file(
    put, read, tmp_path, delimiter
):
    works = [
        [
            "Claude Monet",
            'The "Pond"',
            "u",
            "landscape",
            "Impressionism",
            "French",
            "",
            "painting",
            "Artists1/M/P##1a.jpg",
        ],
        [
            "Käthe Kollwitz",
            "nan",
            "u",
            "",
            "",
            "German",
            "1903",
            "Artists2/K/W##2b.jpg",
            "print",
        ],  # fields swapped
        ["", "", "u", "", "", "", "", "painting", "Artists2/K/X##3c.jpg"],
        ["Claude Monet", "P", "u", "", "", "", "", "", "Art Style/Impressionism/P##1a.jpg"],
        ["too", "few"],
    ]
    put("head_info.csv", f"{ART_COLUMNS}\n")
    put("label_list.csv", "".join(delimiter.join(work) + "\n" for work in works))
    questions, rejected = read("ART500K")
    first, second, third = questions
    assert first == SourceQuestion(
        "ART500K/Artists1/M/P##1a",
        "ART500K",
        "Detail",
        detail_question("ART500K/Artists1/M/P##1a", "artwork"),
        "art500k/1a.jpg",
        tmp_path / "Artists1/M/P##1a.jpg",
        'Title: The "Pond". Artist: Claude Monet. Style: Impressionism. Genre: landscape.',
        ('The "Pond"', "Claude Monet"),
    )
    assert third.image_id == first.image_id  # the same picture under its style
    assert third.question_id == "ART500K/Art Style/Impressionism/P##1a"
    assert (second.ground_truth, second.image) == (
        "Artist: Käthe Kollwitz. Date: 1903.",
        tmp_path / "Artists2/K/W##2b.jpg",
    )
    assert [item.detail for item in rejected] == [
        "nothing is known of the work",
        "has 2 fields instead of 9",
    ]


def test_art500k_reads_the_toy_list_and_a_line_in_another_encoding_is_rejected(put, read, tmp_path):
    header = "ID\tFILE\tAUTHOR \tTITLE\tDATE\tTECHNIQUE\tTYPE\n"
    first = "1\t1.jpg\tCAMPIN\tAnnunciation\t1427\tOil on wood\treligious\n"
    second = "2\t2.jpg\tDÜRER\tHare\t1502\tPaper\tstudy\n"
    put("toy_dataset_label.csv", header.encode() + first.encode() + second.encode("latin-1"))
    (question,), (rejected,) = read("ART500K")
    assert question.image == tmp_path / "toy_dataset/1.jpg"
    assert question.ground_truth == (
        "Title: Annunciation. Artist: CAMPIN. Date: 1427. Genre: religious. Technique: Oil on wood."
    )
    assert (
        rejected.place == "toy_dataset_label.csv line 3" and "codec can't decode" in rejected.detail
    )


def test_coco_asks_once_an_image_with_all_its_captions(put, read, tmp_path):
    images = [
        {"license": 3, "file_name": "000000391895.jpg", "height": 360, "width": 640, "id": 391895},
        {"license": 3, "file_name": "000000000009.jpg", "id": 9},
    ]
    captions = [
        {"image_id": 391895, "id": 770337, "caption": "A man with a red helmet.\n"},
        {"image_id": 391895, "id": 771687, "caption": "Man riding a motor bike."},
        {"image_id": 9},
    ]
    put(
        "annotations/captions_val2017.json",
        {"info": {}, "licenses": [], "images": images, "annotations": captions},
    )
    (question,), rejected = read("COCO")
    assert question == SourceQuestion(
        "COCO/391895",
        "COCO",
        "Detail",
        detail_question("COCO/391895", "scene"),
        "coco/391895",
        tmp_path / "val2017/000000391895.jpg",
        "A man with a red helmet.\nMan riding a motor bike.",
        ("A man with a red helmet.", "Man riding a motor bike."),
    )
    assert [(item.place, item.detail) for item in rejected] == [
        ("captions_val2017.json annotation 2", "no caption"),
        ("captions_val2017.json image 1", "image 9 has no caption"),
    ]


MONEYBALL = {
    "imdb_id": "tt1210166",
    "cast": [],
    "scene": [
        {"id": "tt1210166_0001", "shot": [2, 3], "place_tag": ["office"], "action_tag": None}
    ],
    "story": [
        {"id": "tt1210166_0000", "shot": [1, 2], "description": "Billy Beane is upset by the loss."}
    ],
    "cinematic_style": {"movie": [], "trailer": None},
}


def test_movienet_asks_about_the_middle_of_each_film_and_tells_what_is_annotated_there(
    put, read, tmp_path
):
    put("annotation/tt1210166.json", MONEYBALL)
    put("annotation/tt0000001.json", MONEYBALL | {"imdb_id": "tt0000001"})
    put("annotation/tt0000002.json", "{")
    put(
        "meta/tt1210166.json",
        {"imdb_id": "tt1210166", "title": "Moneyball (2011)", "genres": ["Drama", "Sport"]},
    )
    for shot in range(5):
        for frame in range(3):
            put(f"keyframes/tt1210166/shot_{shot:04d}_img_{frame}.jpg", b"")
    (question,), rejected = read("MovieNet")
    assert question == SourceQuestion(
        "MovieNet/tt1210166-0002",  # shots 0 to 4: the middle one
        "MovieNet",
        "Detail",
        detail_question("MovieNet/tt1210166-0002", "film"),
        "movienet/tt1210166/shot_0002_img_1",
        tmp_path / "keyframes/tt1210166/shot_0002_img_1.jpg",
        "This is a frame of the film Moneyball (2011). Genre: Drama, Sport. "
        "Story: Billy Beane is upset by the loss. Place: office.",
        ("Moneyball (2011)",),
    )
    assert [(item.place, item.reason) for item in rejected] == [
        ("tt0000001.json", "no keyframes"),
        ("tt0000002.json", "malformed record"),
    ]
    more, _ = read("MovieNet", per_film=2)  # the middles of shots 0 to 4 in two parts: 5/4 and 15/4
    assert [question.question_id for question in more] == [
        "MovieNet/tt1210166-0001",
        "MovieNet/tt1210166-0003",
    ]
    with pytest.raises(UserError, match="per_film must be at least 1"):
        read("MovieNet", per_film=0)


def test_movienet_frames_as_the_archive_unpacks_and_tags_without_a_list(put, read, tmp_path):
    put("annotation/tt1.json", {"scene": [{"shot": [0, 0], "place_tag": "bar"}]})
    put("meta/tt1.json", {"title": "A film", "genres": "Drama"})
    put("240P/tt1/shot_0000_img_1.jpg", b"")
    (question,), rejected = read("MovieNet")
    assert not rejected and question.image == tmp_path / "240P/tt1/shot_0000_img_1.jpg"
    assert question.ground_truth == "This is a frame of the film A film. Genre: Drama. Place: bar."


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("LCS-558K", "blip_laion_cc_sbu_558k.json"),
        ("sharegpt4v-wikiart", SHAREGPT4V),
        ("Google-Landmark", "train.csv"),
        ("ART500K", "label_list.csv"),
        ("COCO", "captions_val2017.json"),
        ("MovieNet", "keyframes"),
    ],
)
def test_a_missing_file_is_named_with_its_publisher(read, name, file):
    with pytest.raises(UserError, match=f"no .*{file}: unpack it there as published"):
        read(name)
