"""The trial: asks the model about each letter, with the prompt, and writes its answers to answers.txt."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

STAND_IN = shlex.join([sys.executable, "-I", "-S", "model.py"])


def main() -> None:
    model = shlex.split(os.environ.get("MODEL", STAND_IN))
    prompt = Path("prompt.md").read_text()
    with Path("answers.txt").open("w") as answers:
        for line in Path("letters.tsv").read_text().splitlines():
            letter = line.partition("\t")[2]
            asked = f"{prompt}\nLetter: {letter}\n"
            done = subprocess.run(model, input=asked, stdout=subprocess.PIPE, text=True, check=True)
            answers.write(" ".join(done.stdout.split()) + "\n")


main()
