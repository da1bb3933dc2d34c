"""Joints dragged on a page, in a real browser; and whom its server answers."""

import http.client
import json
import threading
import urllib.error
import urllib.request

import numpy as np
import pytest
from PIL import Image

from anime_pt.pipelines import annotate
from anime_pt.pose import formats
from anime_pt.pose.sequences import PoseSequence
from anime_pt.pose.skeletons import COCO_17
from tests.browser import Browser
from tests.pipelines import stand_in


@pytest.fixture
def server(tmp_path):
    image, points = stand_in.figure()
    picture, out = tmp_path / "少女 1.png", tmp_path / "joints 手.json"
    Image.fromarray(image).save(picture)
    points = points[None].astype(np.float32)
    points[0, COCO_17.index("left_wrist")] = np.nan, np.nan, 0
    server = annotate.Server(picture, PoseSequence(points, COCO_17, (300.0, 400.0)), out)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def browser(tmp_path):
    browser = Browser(tmp_path / "profile")
    yield browser
    browser.close()


def test_joints_are_dragged_placed_removed_and_saved(server, browser, tmp_path):
    browser.open(server.url, "document.body.dataset.ready === 'yes'")
    assert browser.evaluate("document.title") == "Joints: 少女 1.png"
    browser.wait("document.querySelectorAll('#joints circle').length === 16")
    before = server.poses.keypoints[0].copy()
    zoom = browser.evaluate("zoom")
    nose, wrist, knee = (COCO_17.index(n) for n in ("nose", "left_wrist", "left_knee"))

    start = browser.middle(f"circle[data-joint='{nose}']")
    browser.drag(start, (start[0] + 30 * zoom, start[1] - 12 * zoom))
    # A missing joint: its name, then where it is.
    browser.click(f"#list li:nth-child({wrist + 1})")
    hip = browser.middle(f"circle[data-joint='{COCO_17.index('right_hip')}']")
    place = hip[0] + 50 * zoom, hip[1] + 10 * zoom
    browser.drag(place, place)
    browser.click(f"circle[data-joint='{knee}']")
    browser.key("ArrowRight")
    browser.click(f"circle[data-joint='{knee + 2}']")
    browser.key("Delete")
    browser.click("#undo")
    browser.wait("document.querySelectorAll('#joints circle').length === 17")
    browser.key("Delete")
    assert browser.evaluate("document.getElementById('state').textContent") == "not saved"
    browser.click("#save")
    browser.wait("document.getElementById('state').textContent.startsWith('saved: ')")

    saved = formats.read(tmp_path / "joints 手.json")
    assert saved.skeleton is COCO_17 and saved.size == (300, 400)
    wanted = before.copy()
    wanted[nose, :2] += (30, -12)
    wanted[knee, 0] += 1
    wanted[wrist] = *(before[COCO_17.index("right_hip"), :2] + (50, 10)), 1
    wanted[knee + 2] = np.nan, np.nan, 0
    np.testing.assert_allclose(saved.keypoints[0], wanted, atol=1.5 / zoom)
    # Untouched joints are where they were.
    same = [i for i in range(17) if i not in (nose, wrist, knee, knee + 2)]
    np.testing.assert_allclose(saved.keypoints[0, same], before[same], atol=1e-3)


def test_only_its_own_page_is_answered(server):
    port = server.server_address[1]

    def ask(method, path, host=f"127.0.0.1:{port}", body=None, kind="application/json"):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request(method, path, body, {"Host": host, "Content-Type": kind})
        answer = connection.getresponse()
        return answer.status, answer.read()

    before = json.loads(urllib.request.urlopen(server.url + "joints").read())
    assert before["points"][COCO_17.index("left_wrist")] is None and len(before["names"]) == 17
    good = json.dumps({"points": [[1.0, 2.0, 1.0]] * 17})
    assert ask("GET", "/joints", host="evil.example")[0] == 404
    assert ask("GET", "/../pyproject.toml")[0] == 404
    assert ask("POST", "/joints", host="evil.example", body=good)[0] == 404
    assert ask("POST", "/joints", body=good, kind="text/plain")[0] == 404  # A form of another site.
    for bad in ("{", "[]", '{"points": [null]}', good.replace("1.0, 2.0", '"a", NaN')):
        status, text = ask("POST", "/joints", body=bad)
        assert status == 400 and text
    assert not server._out.exists()
    assert ask("POST", "/joints", body=good) == (200, str(server._out).encode())
    assert (formats.read(server._out).keypoints[0] == (1, 2, 1)).all()
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(server.url + "nothing")
