"""The one exception a user is meant to see."""


class InputError(ValueError):
    """What the user gave cannot be used.

    The message is one sentence that names the file, column or parameter at fault, what was found and what was
    expected. The command line prints it as it stands and exits with 1; it never prints a traceback for it.
    """

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows: the sentence, without the code that it came through; IPython asks for this."""
        return [f"{type(self).__name__}: {self}"]
