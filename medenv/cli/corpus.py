"""Commands about corpora: index passages, put them into Milvus, search them, serve them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from medenv.errors import UsageError
from medenv.records import Retriever

corpus_app = typer.Typer(no_args_is_help=True, help="Index, search and serve passages.")

_Source = Annotated[
    Path, typer.Argument(help="A JSONL file of passages, or a folder of documents.")
]
_Retriever = Annotated[str, typer.Option(help="Name of the retriever that opens it.")]
_HOW = typer.Option(help="How text is indexed: plain, english, or an analysis' fields in JSON.")
_Path = Annotated[str, typer.Argument(help="A saved index, a file of passages, or a URL.")]


def register(app: typer.Typer, serving: typer.Typer) -> None:
    """Add the commands.

    Args:
        app: All commands.
        serving: The commands that serve.
    """
    app.add_typer(corpus_app, name="corpus")
    serving.command("corpus")(serve)


@corpus_app.command("index")
def index(
    source: _Source,
    out: Annotated[Path, typer.Argument(help="Folder of the index to write.")],
    analysis: Annotated[str, _HOW] = "plain",
) -> None:
    """Index passages for BM25; `retriever=bm25 corpus=OUT` opens the index."""
    from medenv.retrieval.bm25 import open_bm25

    if out.exists():
        raise UsageError(f"{out} exists already: name another folder, or remove it")
    made = open_bm25(source, analysis=analysis)
    made.save(out)
    Console().print(f"wrote {out}: {len(made.passages):,} passages", soft_wrap=True)


@corpus_app.command("milvus")
def milvus(
    source: _Source,
    uri: Annotated[str, typer.Argument(help="A path, or the address of a Milvus server.")],
    collection: Annotated[str, typer.Option(help="Name of the collection to make.")] = "passages",
    analysis: Annotated[str, _HOW] = "plain",
) -> None:
    """Put passages into Milvus; `retriever=milvus corpus=URI` asks it. Key: MILVUS_TOKEN."""
    from medenv.retrieval.loaders import open_passages
    from medenv.retrieval.milvus import fill_milvus

    count = fill_milvus(open_passages(source), uri, collection=collection, analysis=analysis)
    Console().print(f"{uri}, {collection}: {count:,} passages", soft_wrap=True)


@corpus_app.command("search")
def search(
    path: _Path,
    query: Annotated[str, typer.Argument(help="What to search for.")],
    retriever: _Retriever = "bm25",
    k: Annotated[int, typer.Option(help="How many passages.", min=1)] = 5,
    analysis: Annotated[str | None, _HOW] = None,
) -> None:
    """Show what a query finds; a saved index is asked by the analysis that it was made by."""
    console = Console()
    for passage, score in _opened(path, retriever, analysis).search([query], k)[0]:
        console.print(f"[bold]{score:6.2f}[/]  {escape(passage.id)}  {escape(passage.title)}")
        console.print(f"        {escape(passage.text[:200])}")


def serve(
    path: Annotated[str, typer.Argument(help="A saved index, a JSONL file of passages, or a set.")],
    retriever: _Retriever = "bm25",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8400,
    max_waiting: Annotated[int, typer.Option(help="Queries that may wait.")] = 4096,
    analysis: Annotated[str | None, _HOW] = None,
) -> None:
    """Serve a corpus over HTTP, for many rollout workers at once."""
    import uvicorn

    from medenv.retrieval.server import CorpusServer

    served = CorpusServer(_opened(path, retriever, analysis), max_waiting=max_waiting)
    uvicorn.run(served, host=host, port=port, log_level="warning")


def _opened(path: str, retriever: str, analysis: str | None) -> Retriever:
    """Open a corpus, with an analysis where one is asked for."""
    from medenv.build.plugins import retriever_factory

    wanted = {retriever: {} if analysis is None else {"analysis": analysis}}
    factory, options = retriever_factory(wanted)
    opened: Retriever = factory(path, **options)
    return opened
