def handle(input, context):
    name = input.get("name", "world")
    return {"greeting": f"Hello, {name}"}
