def handle(input, context):
    return [31m‮
