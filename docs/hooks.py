"""MkDocs hooks: pages from files that live elsewhere in the repository, and links that hold in the repository and on the site."""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
ELSEWHERE = {
    "codebook.md": "data/annotations/CODEBOOK.md",
    "datasheet.md": "data/annotations/README.md",
    "model-card.md": "model/README.md",
    "figures.md": "benchmarks/README.md",
    "changelog.md": "CHANGELOG.md",
}
README = {"": "index.md", "#the-rows": "read.md"}  # what the site has of it
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!\w+:|#)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages whose one source is elsewhere."""
    for name, source in ELSEWHERE.items():
        files.append(File.generated(config, name, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links at pages of the site; what has no page there is named, not linked."""
    source = ELSEWHERE.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    pages = {f"docs/{file.src_uri}": file.src_uri for file in files} | {path: name for name, path in ELSEWHERE.items()}

    def linked(found: re.Match[str]) -> str:
        text, path, anchor = found[1], found[2], found[3] or ""
        to = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        if name := README.get(anchor) if to == "README.md" else pages.get(to):
            return f"[{text}]({posixpath.relpath(name, posixpath.dirname(page.file.src_uri) or '.')}{anchor})"
        return text

    return _LINK.sub(linked, markdown)
