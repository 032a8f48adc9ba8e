"""Start a server, make people known to it and name faces, all over HTTP.

python examples/09_server.py [PHOTO...]        (the server: pip install 'vultus[server]')
"""

import json
import sys
import time
from base64 import b64encode
from contextlib import closing, suppress
from http.client import HTTPConnection
from pathlib import Path
from subprocess import PIPE, Popen
from tempfile import TemporaryDirectory
from urllib.parse import quote

from vultus.samples import known_dir, photos_dir

photos = [Path(name) for name in sys.argv[1:]] or sorted(photos_dir().iterdir())
home = TemporaryDirectory()
command = f"{sys.executable} -m vultus serve --anonymous --port 0 --gallery {home.name}/people.db"
server = Popen(command.split(), stderr=PIPE, text=True)  # noqa: S603
address = next(line for line in server.stderr if "listens on" in line).rpartition("/")[2].strip()


def ask(path, *pictures):
    """Send pictures as JSON; as long as the server is starting, try again."""
    body = json.dumps({"images": [b64encode(p.read_bytes()).decode() for p in pictures]})
    while True:
        with suppress(ConnectionRefusedError), closing(HTTPConnection(address)) as web:
            web.request("POST", path, body, {"Content-Type": "application/json"})
            answer = web.getresponse()
            if answer.status != 503:
                return json.load(answer)
        time.sleep(0.2)


with home, server:
    try:
        for picture in known_dir().iterdir():
            ask(f"/v1/people/{quote(picture.stem)}/faces", picture)
        for photo, found in zip(photos, ask("/v1/identify/batch", *photos)["items"], strict=True):
            faces = sorted(found["faces"], key=lambda face: face["box"][0])
            names = [face["person"] or "unknown" for face in faces]
            print(f"{photo.name}:", ", ".join(names) or "no face")
    finally:
        server.terminate()
