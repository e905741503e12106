"""Does what its input asks for: {"do": "echo", "value": …}."""

import os
import random
import sys
import time


def echo(asked, context):
    return asked["value"]


def log(asked, context):
    print("printed")
    print("complained", file=sys.stderr)


def environment(asked, context):
    return os.environ.get(asked["name"])


def context(asked, context):
    return context


def fail(asked, context):
    raise ValueError("order 7 is unknown")  # fails here


def trap(asked, context):
    return None.member  # traps here


def loop(asked, context):
    print("::progress 40 halfway")
    while True:
        pass


def memory(asked, context):
    kept = []
    while True:
        kept.append(bytearray(b"x" * (1 << 20)))


def recursion(asked, context):
    return recursion(asked, context) + 1


def output(asked, context):
    return "x" * (4 << 20)


def clock(asked, context):
    return [time.time_ns() / 1_000_000, time.monotonic_ns() / 1_000_000, time.perf_counter_ns() / 1_000_000]


def file(asked, context):
    return open("/etc/passwd").read()


def chance(asked, context):
    return random.random()


DEEDS = {name: deed for name, deed in globals().items() if callable(deed)} | {"random": chance}


def handle(input, context):
    return DEEDS[input["do"]](input, context)
