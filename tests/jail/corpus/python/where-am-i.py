import sys


def handle(input, context):
    return [__file__, __name__, sys.path, sys.argv, sys.prefix, sys.executable]
