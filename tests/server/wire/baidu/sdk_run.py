"""Runs calls on the unmodified `baidu-aip` that PYTHONPATH holds; not imported by any test.

Standard input is a JSON object: `url`, `ak`, `sk`, `app_id`, `calls`; `way` is how the client is
led to the server: ``attributes`` (its class attributes), ``hosts`` (the name's address is another
one, as by a hosts file) or ``proxy`` (`proxy` is the address of a CONNECT proxy). With `signed` the
token endpoint gives no token, so that requests are signed. Standard output is a JSON list.
"""

import base64
import json
import socket
import sys

import aip
import aip.base

HOST = "https://aip.baidubce.com"
job = json.loads(sys.stdin.buffer.read())


def replace_attributes():
    for kind in (aip.base.AipBase, aip.AipFace):
        for name, value in list(vars(kind).items()):
            if isinstance(value, str) and value.startswith(HOST):
                setattr(kind, name, job["url"] + value[len(HOST) :])


def replace_address():
    known, port = socket.getaddrinfo, int(job["url"].rpartition(":")[2])

    def find(host, asked, *rest, **named):
        if host == "aip.baidubce.com":
            host, asked = "127.0.0.1", port
        return known(host, asked, *rest, **named)

    socket.getaddrinfo = find


def plain(value):
    if isinstance(value, dict) and set(value) == {"bytes"}:
        return base64.b64decode(value["bytes"])
    return [plain(one) for one in value] if isinstance(value, list) else value


way = job.get("way", "attributes")
if way == "attributes":
    replace_attributes()
elif way == "hosts":
    replace_address()
client = aip.AipFace(job["app_id"], job["ak"], job["sk"])
if way == "proxy":
    client.setProxies({"https": job["proxy"]})
if job.get("signed"):
    aip.base.AipBase._AipBase__accessTokenUrl = job["url"] + "/oauth/2.0/nothing"

replies = []
for name, *arguments in job["calls"]:
    try:
        if name == "use_token":
            client._auth()
            client._authObj["access_token"] = arguments[0]
            replies.append(None)
        elif name == "token":
            replies.append(client._authObj.get("access_token"))
        else:
            replies.append(getattr(client, name)(*map(plain, arguments)))
    except Exception as error:
        replies.append({"raised": f"{type(error).__name__}: {error}"})
json.dump(replies, sys.stdout)
