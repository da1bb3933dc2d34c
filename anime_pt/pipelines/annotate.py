"""A small local web page on which joints are dragged over a picture, and saved.

The server listens on this machine alone, and answers only those who call it by its own name: pages of other
sites that a browser shows at the same time cannot ask it (their `Host` or content type differs).
"""

import http.server
import json
import math
import pathlib
import threading
from typing import Any

import cv2
import numpy as np

from anime_pt.pipelines import pictures
from anime_pt.pose import formats
from anime_pt.pose.sequences import PoseSequence, unknown

_PAGE = pathlib.Path(__file__).with_name("annotate.html")
# What a browser is shown, and the most that it may send.
_SIDE, _MOST_BYTES = 2048, 1 << 20


class Server(http.server.ThreadingHTTPServer):
    """Serves one picture and its joints.

    Attributes:
      url: to open in a browser.
      poses: the joints as they were saved last, or as they were given.
    """

    daemon_threads = True

    def __init__(self, picture: pathlib.Path, poses: PoseSequence, out: pathlib.Path, port: int = 0):
        """Opens a port; `serve_forever` answers.

        Args:
          picture: file.
          poses: of one frame, in the pixels of the upright picture.
          out: where the joints are saved, in the project's own format.
          port: 0: any that is free.

        Raises:
          PictureError: the picture cannot be read.
          OSError: the port is taken.
        """
        self.poses, self._out, self._name = poses, out, picture.name
        self._lock = threading.Lock()
        image = pictures.read(picture, _SIDE).flat
        self._picture = cv2.imencode(".png", image[..., ::-1])[1].tobytes()
        super().__init__(("127.0.0.1", port), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/"

    def answer(self, path: str) -> tuple[str, bytes] | None:
        """Type and bytes of what is asked for."""
        if path == "/":
            return "text/html; charset=utf-8", _PAGE.read_bytes()
        if path == "/picture":
            return "image/png", self._picture
        if path == "/joints":
            return "application/json", json.dumps(self._document()).encode()
        return None

    def save(self, document: Any) -> str:
        """Saves the joints that a browser sends; where they are.

        Raises:
          ValueError: they are not as many as there are, or no numbers.
        """
        skeleton = self.poses.skeleton
        points = document.get("points") if isinstance(document, dict) else None
        if not isinstance(points, list) or len(points) != len(skeleton):
            raise ValueError(f"not saved: {len(skeleton)} joints were expected")
        out = unknown(1, skeleton)
        for i, point in enumerate(points):
            if point is None:
                continue
            if not (
                isinstance(point, list)
                and len(point) == 3
                and all(isinstance(v, (int, float)) and math.isfinite(v) for v in point)
            ):
                raise ValueError(f"not saved: {skeleton.keypoints[i]} is no place in the picture")
            out[0, i] = point
        poses = PoseSequence(out, skeleton, self.poses.size, self.poses.fps)
        with self._lock:
            formats.write(self._out, poses)
            self.poses = poses
        return str(self._out)

    def _document(self) -> dict[str, Any]:
        height, width = self.poses.size
        rows = [[float(v) for v in p] if np.isfinite(p[:2]).all() else None for p in self.poses.keypoints[0]]
        return {
            "name": self._name,
            "width": width,
            "height": height,
            "names": self.poses.skeleton.keypoints,
            "limbs": self.poses.skeleton.limb_indices.tolist(),
            "points": rows,
        }


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        found = self.server.answer(self.path) if self._own() else None
        if found is None:
            self.send_error(404)
        else:
            self._send(200, *found)

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        json_ = self.headers.get("Content-Type", "").split(";")[0].strip() == "application/json"
        if self.path != "/joints" or not self._own() or not json_:
            self.send_error(404)
            return
        if not length.isdecimal() or int(length) > _MOST_BYTES:
            self.send_error(413)
            return
        try:
            text = self.server.save(json.loads(self.rfile.read(int(length))))
        except (ValueError, RecursionError, OSError) as error:
            self._send(400, "text/plain; charset=utf-8", " ".join(str(error).split()).encode())
        else:
            self._send(200, "text/plain; charset=utf-8", text.encode())

    def _own(self) -> bool:
        """Whether the server was called by its own name: other sites may have names for this address."""
        port = self.server.server_address[1]
        return self.headers.get("Host") in (f"127.0.0.1:{port}", f"localhost:{port}")

    def _send(self, code: int, kind: str, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: each picture would be a line."""
