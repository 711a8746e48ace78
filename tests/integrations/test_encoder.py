"""A transformer as an encoder, opened by its folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medenv.build.retrieval import open_retriever, prepare_corpus
from medenv.build.settings import CorpusSettings, RetrieverSettings
from medenv.errors import DataError
from medenv.kg import toy_graph
from medenv.retrieval.encoders import open_encoder

pytest.importorskip("transformers")
TINY = str(Path(__file__).parents[2] / "models" / "tiny_policy")


def test_a_vector_is_the_mean_of_the_states_of_its_own_tokens() -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    encode = open_encoder(TINY, {"batch": 2})
    texts = ["fever", "a much longer text about ectopia lentis", "gene"]
    vectors = encode(texts)
    model = AutoModel.from_pretrained(TINY, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(TINY)
    for text, vector in zip(texts, vectors, strict=True):
        tokens = tokenizer([text], return_tensors="pt")
        tokens.pop("token_type_ids", None)
        with torch.inference_mode():
            states = model(**tokens).last_hidden_state[0]
        assert np.allclose(vector, states.float().mean(0).numpy(), atol=1e-4)


def test_a_folder_is_an_encoder_of_dense_and_hybrid_retrieval(tmp_path: Path) -> None:
    corpus = CorpusSettings(source="documents")
    for name in ("dense", "hybrid"):
        how = RetrieverSettings(name=name, options={"encoder": TINY})
        made = prepare_corpus(corpus, how, toy_graph(), None, tmp_path)
        assert len(open_retriever(how, str(made)).search(["Night lake syndrome"], 4)[0]) == 4


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no encoder that can be loaded"):
        open_encoder(str(tmp_path))
