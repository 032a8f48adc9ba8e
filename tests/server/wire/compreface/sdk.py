"""Calls of the unmodified SDK, made in a process of its own.

Reads from standard input ``{"url", "port", "key", "calls": [[service, options, method, arguments,
keywords]]}``, where an argument ``{"bytes": base64}`` stands for bytes; writes what each call gave,
or ``{"raised": kind}``. ``collection`` and ``subjects`` are services, too.
"""

import base64
import json
import sys

from compreface import CompreFace


def service_of(told, name, options):
    made = CompreFace(told["url"], told["port"], options)
    if name == "detection":
        return made.init_face_detection(told["key"])
    if name == "verification":
        return made.init_face_verification(told["key"])
    recognition = made.init_face_recognition(told["key"])
    if name == "collection":
        return recognition.get_face_collection()
    return recognition.get_subjects() if name == "subjects" else recognition


def unpacked(argument):
    if isinstance(argument, dict) and set(argument) == {"bytes"}:
        return base64.b64decode(argument["bytes"])
    return argument


def main():
    told = json.load(sys.stdin)
    given = []
    for name, options, method, arguments, keywords in told["calls"]:
        service = service_of(told, name, options)
        try:
            call = getattr(service, method)
            given.append(call(*map(unpacked, arguments), **keywords))
        except BaseException as error:  # its own errors derive from this
            given.append({"raised": type(error).__name__})
    json.dump(given, sys.stdout)


main()
