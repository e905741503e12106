def handle(input, context):
    return (9**9**9**9, "x" * 10**15, 1 << 10**12, ((0,) * 10**9) * 10**9)
