"""What a reader has to beat: the majority class, TF-IDF and sentence embeddings with logistic regression."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from slant.windows import tokenizer_from
from training.base import base_encoder
from training.examples import Labels
from training.recipe import Recipe

Features: TypeAlias = "NDArray[np.float32] | csr_matrix"
MOST_TOKENS = 128
BATCH = 32


def majority(train: Labels, count: int) -> Labels:
    """Give every one of ``count`` sentences the labels that most training sentences have."""
    return Labels(
        np.tile((train.frames.mean(axis=0) > 0.5).astype(np.float32), (count, 1)),
        np.full(count, np.bincount(train.stance).argmax()),
        np.full(count, np.bincount(train.voice).argmax()),
    )


def tf_idf(train: Sequence[str], test: Sequence[str]) -> tuple[Features, Features]:
    """TF-IDF of word unigrams and bigrams, fitted on the training sentences."""
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    return vectorizer.fit_transform(train), vectorizer.transform(test)


def logistic_regression(train: Features, train_labels: Labels, test: Features) -> Labels:
    """Fit one balanced logistic regression for each frame, one for stance and one for voice."""
    columns = [_predict(train, train_labels.frames[:, i].astype(int), test) for i in range(train_labels.frames.shape[1])]
    return Labels(
        np.stack(columns, axis=1).astype(np.float32),
        _predict(train, train_labels.stance, test),
        _predict(train, train_labels.voice, test),
    )


def embedder(recipe: Recipe, tokenizer: str) -> Callable[[Sequence[str]], NDArray[np.float32]]:
    """The recipe's base encoder, frozen: sentences to mean-pooled unit vectors (sentences, hidden)."""
    encoder = base_encoder(recipe).eval()
    pieces = tokenizer_from(tokenizer)
    pieces.enable_truncation(MOST_TOKENS)
    pieces.enable_padding()

    def embed(sentences: Sequence[str]) -> NDArray[np.float32]:
        order = np.argsort([len(sentence) for sentence in sentences], kind="stable")  # like lengths side by side: little padding
        rows = []
        with torch.inference_mode():
            for i in range(0, len(order), BATCH):
                batch = pieces.encode_batch([sentences[j] for j in order[i : i + BATCH]])
                mask = torch.tensor([encoding.attention_mask for encoding in batch])
                states = encoder(input_ids=torch.tensor([encoding.ids for encoding in batch]), attention_mask=mask).last_hidden_state
                mean = (states * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)  # (sentences, hidden)
                rows.append(torch.nn.functional.normalize(mean, dim=1).numpy())
        return np.concatenate(rows)[np.argsort(order)]

    return embed


def _predict(train: Features, labels: NDArray[np.int64], test: Features) -> NDArray[np.int64]:
    if len(np.unique(labels)) == 1:
        return np.full(test.shape[0], labels[0])
    model = LogisticRegression(C=3.0, class_weight="balanced", max_iter=2000)
    predicted: NDArray[np.int64] = model.fit(train, labels).predict(test)
    return predicted
