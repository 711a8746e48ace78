"""Commands about corpora: index passages, put them into Milvus, search them, serve them."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from medenv.cli.options import named_options
from medenv.errors import UnknownNameError, UsageError
from medenv.records import Retriever

corpus_app = typer.Typer(no_args_is_help=True, help="Index, search and serve passages.")

_Source = Annotated[
    Path, typer.Argument(help="A JSONL file of passages, or a folder of documents.")
]
_Retriever = Annotated[str, typer.Option(help="Name of the retriever.")]
_Options = Annotated[
    list[str] | None,
    typer.Option("--option", help="Option of the retriever, NAME=VALUE, e.g. analysis=english."),
]
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
    retriever: Annotated[str, typer.Option(help="bm25, dense or hybrid.")] = "bm25",
    option: _Options = None,
) -> None:
    """Index passages; `corpus=OUT` with the same retriever and options opens the index."""
    from medenv.build.retrieval import INDEXERS
    from medenv.retrieval.disk import read_passages
    from medenv.retrieval.loaders import open_passages

    if out.exists():
        raise UsageError(f"{out} already exists: choose another folder, or remove it")
    if retriever not in INDEXERS:
        raise UnknownNameError("retriever with an index", retriever, INDEXERS)
    options = named_options(option)
    try:
        inspect.signature(INDEXERS[retriever]).bind((), out, **options)
    except TypeError as error:
        raise UsageError(f"retriever {retriever!r} cannot take {options}: {error}") from error
    INDEXERS[retriever](open_passages(source), out, **options)
    Console().print(f"wrote {out}: {len(read_passages(out)[0]):,} passages", soft_wrap=True)


@corpus_app.command("milvus")
def milvus(
    source: _Source,
    uri: Annotated[str, typer.Argument(help="A path, or the address of a Milvus server.")],
    collection: Annotated[str, typer.Option(help="Name of the new collection.")] = "passages",
    analysis: Annotated[
        str, typer.Option(help="plain, english, or an analysis in JSON.")
    ] = "plain",
) -> None:
    """Load passages into Milvus; use them with `retriever=milvus corpus=URI`. Key: MILVUS_TOKEN."""
    from medenv.retrieval.loaders import open_passages
    from medenv.retrieval.milvus import fill_milvus

    count = fill_milvus(open_passages(source), uri, collection=collection, analysis=analysis)
    Console().print(f"{uri}, {collection}: {count:,} passages", soft_wrap=True)


@corpus_app.command("search")
def search(
    path: _Path,
    query: Annotated[str, typer.Argument(help="Search query.")],
    retriever: _Retriever = "bm25",
    k: Annotated[int, typer.Option(help="Number of passages.", min=1)] = 5,
    option: _Options = None,
) -> None:
    """Search a corpus."""
    console = Console()
    for passage, score in _opened(path, retriever, option).search([query], k)[0]:
        console.print(f"[bold]{score:6.2f}[/]  {escape(passage.id)}  {escape(passage.title)}")
        console.print(f"        {escape(passage.text[:200])}")


def serve(  # noqa: PLR0913 - each parameter is an option of the command
    path: Annotated[str, typer.Argument(help="A saved index, a JSONL file of passages, or a set.")],
    retriever: _Retriever = "bm25",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8400,
    max_waiting: Annotated[int, typer.Option(help="Maximum number of queued queries.")] = 4096,
    tokens: Annotated[
        Path | None,
        typer.Option(help="File of access tokens, NAME TOKEN per line; or set MEDENV_TOKEN."),
    ] = None,
    option: _Options = None,
) -> None:
    """Serve a corpus over HTTP to many rollout workers."""
    from medenv.serving.corpus import CorpusServer
    from medenv.serving.web import Tokens, check_address, web_config
    from medenv.serving.web import serve as serve_app

    known = Tokens.read(tokens)
    check_address(host, known)
    served = CorpusServer(_opened(path, retriever, option), max_waiting=max_waiting)
    serve_app(web_config(served, host, port, tokens=known))


def _opened(path: str, retriever: str, option: list[str] | None) -> Retriever:
    from medenv.build.retrieval import open_retriever
    from medenv.build.settings import RetrieverSettings

    return open_retriever(RetrieverSettings(name=retriever, options=named_options(option)), path)
