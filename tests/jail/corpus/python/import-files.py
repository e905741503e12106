import sys

sys.path[:] = ["/tmp", "/", "..", "@HOME@"]
import source


def handle(input, context):
    return open("@HOME@").read()
