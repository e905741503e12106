import os

print(os.environ, os.listdir("/"), open("/etc/passwd").read(), open("@TMP@").read())


def handle(input, context):
    return 1
