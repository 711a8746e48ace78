"""The recipes: short programs that read top to bottom; `medenv NAME` runs one without a clone."""

if __name__ != "medenv.recipes":
    raise ImportError("`recipes/` is the source of `medenv.recipes`; import it by that name")
