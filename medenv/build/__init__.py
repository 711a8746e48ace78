"""The composition root: from settings to graph, corpus, questions, environment and reward."""
