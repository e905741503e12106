"""The sources that are measured: each language's greeting, and where what their compilations share is kept."""

import json
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"
#: Building it takes minutes, so it stays with what is installed.
SHARED = Path(sys.prefix) / "toolchains"
INPUT = '{"name": "Ada"}'

#: Language to file.
GREETINGS = {
    example["language"]: EXAMPLES / example["file"]
    for example in json.loads((EXAMPLES / "examples.json").read_text())["examples"]
    if example["name"].startswith("greet-") or example["name"] == "greet"
}
