"""Commands about corpora: index passages, put them into Milvus, search them, serve them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from medenv.errors import UsageError
from medenv.records import Passage, Retriever

corpus_app = typer.Typer(no_args_is_help=True, help="Index, search and serve passages.")

_Source = Annotated[
    Path, typer.Argument(help="A JSONL file of passages, or a folder of public corpora.")
]
_Retriever = Annotated[str, typer.Option(help="Name of the retriever.")]
_ANALYSIS = typer.Option(
    help="Text analysis: plain, english, or the fields of an Analysis as JSON."
)
_Path = Annotated[str, typer.Argument(help="A saved index, a file of passages, or a URL.")]


def register(app: typer.Typer, serving: typer.Typer) -> None:
    """Register the commands.

    Args:
        app: The main application.
        serving: The group of the serve commands.
    """
    app.add_typer(corpus_app, name="corpus")
    serving.command("corpus")(serve)


@corpus_app.command("index")
def index(
    source: _Source,
    out: Annotated[Path, typer.Argument(help="Folder of the index to write.")],
    analysis: Annotated[str, _ANALYSIS] = "plain",
) -> None:
    """Index passages for BM25; open the index with `retriever=bm25 corpus=OUT`."""
    from medenv.retrieval.bm25 import open_bm25
    from medenv.retrieval.loaders import open_corpora

    if out.exists():
        raise UsageError(f"{out} already exists: choose another folder, or remove it")
    retriever = (open_bm25 if source.is_file() else open_corpora)(source, analysis=analysis)
    retriever.save(out)
    Console().print(f"wrote {out}: {len(retriever.passages):,} passages", soft_wrap=True)


@corpus_app.command("milvus")
def milvus(
    source: _Source,
    uri: Annotated[str, typer.Argument(help="A path, or the address of a Milvus server.")],
    collection: Annotated[str, typer.Option(help="Name of the new collection.")] = "passages",
    analysis: Annotated[str, _ANALYSIS] = "plain",
) -> None:
    """Load passages into Milvus; use them with `retriever=milvus corpus=URI`. Key: MILVUS_TOKEN."""
    from medenv.retrieval.milvus import fill_milvus

    count = fill_milvus(_passages(source), uri, collection=collection, analysis=analysis)
    Console().print(f"{uri}, {collection}: {count:,} passages", soft_wrap=True)


@corpus_app.command("search")
def search(
    path: _Path,
    query: Annotated[str, typer.Argument(help="Search query.")],
    retriever: _Retriever = "bm25",
    k: Annotated[int, typer.Option(help="Number of passages.", min=1)] = 5,
    analysis: Annotated[str | None, _ANALYSIS] = None,
) -> None:
    """Search a corpus; a saved index uses the analysis that it was built with."""
    console = Console()
    for passage, score in _opened(path, retriever, analysis).search([query], k)[0]:
        console.print(f"[bold]{score:6.2f}[/]  {escape(passage.id)}  {escape(passage.title)}")
        console.print(f"        {escape(passage.text[:200])}")


def serve(
    path: Annotated[str, typer.Argument(help="A saved index, a JSONL file of passages, or a set.")],
    retriever: _Retriever = "bm25",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8400,
    max_waiting: Annotated[int, typer.Option(help="Maximum number of queued queries.")] = 4096,
    analysis: Annotated[str | None, _ANALYSIS] = None,
) -> None:
    """Serve a corpus over HTTP to many rollout workers."""
    import uvicorn

    from medenv.retrieval.server import CorpusServer

    served = CorpusServer(_opened(path, retriever, analysis), max_waiting=max_waiting)
    uvicorn.run(served, host=host, port=port, log_level="warning")


def _opened(path: str, retriever: str, analysis: str | None) -> Retriever:
    """Open a corpus, optionally with an analysis."""
    from medenv.build.plugins import retriever_factory

    settings = {retriever: {} if analysis is None else {"analysis": analysis}}
    factory, options = retriever_factory(settings)
    opened: Retriever = factory(path, **options)
    return opened


def _passages(source: Path) -> Iterator[Passage]:
    """Yield the passages of a file, or of all public corpora in a folder."""
    from medenv.retrieval import PassageFile, PassageStore
    from medenv.retrieval.loaders import load_corpora

    if source.is_dir():
        yield from load_corpora(source)
    else:
        yield from PassageStore.load(source) if source.suffix == ".gz" else PassageFile(source)
