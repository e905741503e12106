# -*- coding: utf-7 -*-
def handle(input, context):
    return "+AGE-"
