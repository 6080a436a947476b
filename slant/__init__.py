"""slant reads a news or opinion article sentence by sentence: how it is framed, which side it takes, whose voice it is."""

from slant.article import Article, Sentence
from slant.checkpoint import CheckpointError
from slant.codebook import AnnotationError, Codebook
from slant.reader import Reader, load
from slant.reading import Reading, SentenceReading

__version__ = "0.1.0"
__all__ = [
    "AnnotationError",
    "Article",
    "CheckpointError",
    "Codebook",
    "Reader",
    "Reading",
    "Sentence",
    "SentenceReading",
    "load",
]
