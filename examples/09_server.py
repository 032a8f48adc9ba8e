"""Start a server, make people known to it and name faces, all over HTTP.

python examples/09_server.py [PHOTO...]        (the server: pip install 'vultus[server]')
"""

import json
import sys
import time
from base64 import b64encode
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from subprocess import PIPE, Popen
from tempfile import TemporaryDirectory
from urllib.parse import quote

from vultus.samples import known_dir, photos_dir


def ask(web, path, *pictures):
    body = json.dumps({"images": [b64encode(p.read_bytes()).decode() for p in pictures]})
    while True:
        with suppress(ConnectionRefusedError):
            web.request("POST", path, body, {"Content-Type": "application/json"})
            with web.getresponse() as answer:
                if answer.status != 503:  # busy, or still loading its model
                    return json.load(answer)
        time.sleep(0.2)


photos = [Path(name) for name in sys.argv[1:]] or sorted(photos_dir().iterdir())
serve = [sys.executable, "-m", "vultus", "serve", "--anonymous", "--port", "0", "--gallery"]
with (
    TemporaryDirectory() as home,
    Popen([*serve, f"{home}/a.db"], stderr=PIPE, text=True) as server,
):
    web = HTTPConnection(next(s for s in server.stderr if "listens on" in s).split("/")[-1].strip())
    for picture in known_dir().iterdir():
        ask(web, f"/v1/people/{quote(picture.stem)}/faces", picture)
    for photo, found in zip(photos, ask(web, "/v1/identify/batch", *photos)["items"], strict=True):
        faces = sorted(found["faces"], key=lambda face: face["box"][0])
        print(f"{photo.name}:", ", ".join(face["person"] or "unknown" for face in faces))
    server.terminate()
