"""What every endpoint has in common on the wire, one convention a file. It parses and renders; nothing here knows a
table.
"""
