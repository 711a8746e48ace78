"""The answers of queries by trying every entity, on plain sets."""

from typing import Any

from medenv.kg import Graph

from .test_queries import Sets, holds


def brute(graph: Graph, sets: Sets, query: list[Any]) -> set[str]:
    """The answers of a query, by trying every entity."""
    ids = graph.nodes.ids
    match query:
        case ["walk", topic, relations]:
            reached = {topic}
            for relation in relations:
                reached = set().union(*(sets[relation][node] for node in reached))
            return reached
        case ["chain", root, steps]:
            ways = [[node] for node in ids if rooted(graph, sets, root, node)]
            for relation, clues in steps:
                ways = [
                    [*way, node]
                    for way in ways
                    for node in sets[relation][way[-1]] - set(way)
                    if all(holds(sets, graph, clue, node) for clue in clues)
                ]
            return {way[-1] for way in ways}
        case ["where", kind, clues]:
            return {
                node
                for node in ids
                if graph.kind(graph.number(node)) == kind
                and all(holds(sets, graph, clue, node) for clue in clues)
            }
        case ["value", head, relation, tail, qualifier]:
            edge = graph.number(head), relation, graph.number(tail)
            return {f"value:{graph.qualifiers(*edge)[qualifier]}"}
        case ["most", relation, tail, heads]:
            shares = {
                head: eval_share(graph.qualifiers(*map_edge(graph, head, relation, tail)))
                for head in heads
            }
            return {head for head in heads if shares[head] == max(shares.values())}
    raise AssertionError(query)


def map_edge(graph: Graph, head: str, relation: str, tail: str) -> tuple[int, str, int]:
    return graph.number(head), relation, graph.number(tail)


def eval_share(qualifiers: dict[str, str]) -> float:
    seen, of = qualifiers["frequency"].split("/")
    return int(seen) / int(of)


def rooted(graph: Graph, sets: Sets, root: Any, node: str) -> bool:
    if isinstance(root, str):
        return node == root
    if root[0] == "described":
        return node == root[1]
    in_kind = graph.kind(graph.number(node)) == root[1]
    return in_kind and all(holds(sets, graph, clue, node) for clue in root[2])
