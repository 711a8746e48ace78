"""Readers that turn public files into a `medenv.kg.Graph`."""
