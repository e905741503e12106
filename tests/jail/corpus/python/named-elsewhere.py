# source.py:999999:1: nothing here
def handle(input, context):
    exec(compile("1/0", "/etc/passwd", "exec"))
