# -*- coding: ../../../../etc/passwd -*-
def handle(input, context):
    return 1
