"""Images in every form that verl's users write;
what the expert gets is what the model's processor is shown.
"""

import base64
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from recipe.difficulty_calib import images
from recipe.difficulty_calib.images import encoded_images_of, images_of, open_image


def picture(seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def same(a: Image.Image, b: Image.Image) -> bool:
    return a.size == b.size and np.array_equal(np.asarray(a), np.asarray(b))


def turn(*items: dict) -> list[dict]:
    content = [{"type": "image", **item} for item in items] + [{"type": "text", "text": "Which?"}]
    return [{"role": "system", "content": "Answer."}, {"role": "user", "content": content}]


@pytest.fixture
def web():
    """`web(path -> bytes or status)` serves on loopback;
    gives the address and the list of paths asked for.
    """
    running = []

    def start(files):
        got = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                got.append(self.path)
                found = files.get(self.path, 404)
                self.send_response(200 if isinstance(found, bytes) else found)
                self.end_headers()
                self.wfile.write(found if isinstance(found, bytes) else b"")

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        running.append(server)
        return f"http://127.0.0.1:{server.server_port}", got

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def test_every_form_of_an_image_gives_the_same_pixels(tmp_path, web):
    file = tmp_path / "a.png"
    file.write_bytes(encoded(picture()))
    uri = "data:image/png;base64," + base64.b64encode(file.read_bytes()).decode()
    url, _ = web({"/a.png": file.read_bytes()})
    forms = [
        {"image": picture()},
        {"bytes": file.read_bytes()},
        {"bytes": None, "image": str(file)},
        {"image": f"file://{file}"},
        {"image": uri},
        {"image": f"{url}/a.png"},
        {"image_url": f"{url}/a.png"},
        {"image_url": {"url": uri}},
    ]
    assert all(same(open_image(form), picture()) for form in forms)
    # The expert gets the file as it is: its verdicts are cached by it.
    assert set(encoded_images_of(turn(*forms[1:]))) == {file.read_bytes()}


def test_all_images_of_a_prompt_go_to_the_expert_in_order():
    found = encoded_images_of(turn({"bytes": encoded(picture(1))}, {"image": picture(2)}))
    assert [same(Image.open(BytesIO(image)), picture(i)) for i, image in enumerate(found, 1)] == [
        True,
        True,
    ]


def test_an_address_is_asked_once_however_many_rollouts_want_it(web):
    url, got = web({"/group.png": encoded(picture())})
    prompt = turn({"image": f"{url}/group.png"})
    threads = [threading.Thread(target=images_of, args=(prompt,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == ["/group.png"]


def test_a_fetch_that_failed_is_named_and_tried_again_by_the_next(web):
    files = {"/late.png": 503}
    url, got = web(files)
    with pytest.raises(ValueError, match=f"image {url}/late.png cannot be fetched .*503"):
        open_image({"image": f"{url}/late.png"})
    files["/late.png"] = encoded(picture())
    assert same(open_image({"image": f"{url}/late.png"}), picture())
    assert len(got) == 2


def test_a_file_that_is_too_large_is_not_fetched_whole(web, monkeypatch):
    monkeypatch.setattr(images, "MAX_BYTES", 100)
    url, _ = web({"/large.png": encoded(picture())})
    with pytest.raises(ValueError, match="larger than 100 bytes: store a smaller one"):
        open_image({"image": f"{url}/large.png"})


@pytest.mark.parametrize("uri", ["data:image/png;base64,!!", "data:image/png,abc", "data:"])
def test_a_data_uri_that_holds_none_is_named(uri):
    with pytest.raises(ValueError, match=f"image {uri[:5]}.* cannot be decoded"):
        open_image({"image": uri})


def test_a_photo_is_upright_for_model_and_expert_as_vllm_turns_it():
    from vllm.multimodal.image import normalize_image

    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by 90 degrees
    photo = encoded(picture(), "PNG", exif=exif)
    shown = open_image({"bytes": photo})
    assert shown.size == (6, 9)  # 9 x 6 as stored
    assert same(shown, normalize_image(Image.open(BytesIO(photo))))
    assert same(normalize_image(shown), shown)  # and is not turned a second time by vLLM
    (judged,) = encoded_images_of(turn({"bytes": photo}))
    assert same(Image.open(BytesIO(judged)), shown)
    assert 0x0112 not in Image.open(BytesIO(judged)).getexif()


def test_a_transparent_image_reaches_the_expert_as_the_model_sees_it():
    clear = picture().convert("RGBA")
    clear.putalpha(0)
    (judged,) = encoded_images_of(turn({"bytes": encoded(clear)}))
    assert same(Image.open(BytesIO(judged)), open_image({"bytes": encoded(clear)}))


def test_broken_exif_data_does_not_cost_the_image():
    broken = encoded(picture(), "PNG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff")
    assert same(open_image({"bytes": broken}), picture())
    assert len(encoded_images_of(turn({"bytes": broken}))) == 1
