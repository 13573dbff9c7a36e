"""The judge: compares what the trial left in answers.txt with the right categories, and prints the score."""

from pathlib import Path


def main() -> None:
    right = [line.partition("\t")[0] for line in Path("letters.tsv").read_text().splitlines()]
    answers = Path("answers.txt").read_text().splitlines()
    if len(answers) != len(right):
        raise SystemExit(f"{len(answers)} answers to {len(right)} letters")
    hits = sum(answer == each for answer, each in zip(answers, right, strict=True))
    print(f"accuracy: {hits / len(right):.4f}")
    print(f"prompt_words: {len(Path('prompt.md').read_text().split())}")


main()
