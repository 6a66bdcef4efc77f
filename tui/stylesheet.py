"""A stylesheet that is parsed once. Textual parses all of it anew for every view that is opened or brought back."""

from __future__ import annotations

from textual.css.stylesheet import Stylesheet


class KeptStylesheet(Stylesheet):
    """Keeps the rules of a source until the colours change, which they do not while this app is open.

    Textual's own throws every rule away whenever it is told the variables again and when a screen brings its
    stylesheet: four times before the first frame, and twice at every change of the view.
    """

    def set_variables(self, variables: dict[str, str]) -> None:
        """Forget the rules only where a variable has another value."""
        if variables != self._variables:
            super().set_variables(variables)

    def reparse(self) -> None:
        """Bring the rules up to date; a source that is known is not parsed again."""
        self.parse()
