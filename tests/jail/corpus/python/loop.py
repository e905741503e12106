while True:
    pass


def handle(input, context):
    return 1
