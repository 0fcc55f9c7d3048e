"""A result told in words: what the reference run gave in sight, what this run gave behind a click."""


class Told(str):
    """What is told of the reference run and then of this run, as one text; a page folds the second part.

    shown: the text without this run's part
    run: this run's part, "" where it is to stand in sight too
    """

    shown: str
    run: str

    def __new__(cls, shown: str, run: str = "") -> "Told":
        told = super().__new__(cls, f"{shown} {run}".strip())
        told.shown, told.run = shown, run
        return told

    def __add__(self, more: str) -> "Told":
        """More words in sight."""
        return Told(self.shown + more, self.run)

    def __radd__(self, before: str) -> "Told":
        return Told(before + self.shown, self.run)


def parts(text: str) -> tuple[str, str]:
    """What of a text stands in sight, and what behind a click."""
    return (text.shown, text.run) if isinstance(text, Told) else (text, "")
