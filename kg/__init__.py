"""Knowledge graphs, question synthesis and certificates."""

if __name__ != "medenv.kg":
    raise ImportError("`kg/` is the source of `medenv.kg`; import it by that name")
