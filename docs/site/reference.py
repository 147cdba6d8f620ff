"""Parameters in the reference, each with its own type and default."""

import griffe


class OwnTypes(griffe.Extension):
    """Undo what griffe does to parameters that are described together and have no type there.

    It gives all of them the type and the default of the first.
    """

    def on_function(self, *, func, **_):
        """Give each parameter what the signature says of it."""
        signature = {parameter.name: parameter for parameter in func.parameters}
        for section in func.docstring.parsed if func.docstring else ():
            if section.kind is not griffe.DocstringSectionKind.parameters:
                continue
            for described in section.value:
                own = signature.get(described.name.lstrip("*"))
                if own is None:
                    continue
                others = [each.annotation for each in signature.values() if each is not own]
                if any(described.annotation is other for other in others):
                    described.annotation = own.annotation
                # A ** or * has one too: what it is when nothing is given.
                starred = own.kind in (
                    griffe.ParameterKind.var_keyword, griffe.ParameterKind.var_positional
                )  # fmt: skip
                described.value = None if starred else own.default
