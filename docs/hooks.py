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
_PART = re.compile(r'^--8<-- "README\.md:(\w+)"$', re.MULTILINE)
_PICTURE = re.compile(r"!\[[^\]]*\]\((?!\w+:)([^)\s]+)\)")
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!\w+:|#)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages whose one source is elsewhere, and the pictures beside them."""
    for name, source in ELSEWHERE.items():
        path = ROOT / source
        files.append(File.generated(config, name, abs_src_path=str(path)))
        for picture in _PICTURE.findall(path.read_text(encoding="utf-8")):
            files.append(File.generated(config, picture, abs_src_path=str(path.parent / picture)))
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

    return _LINK.sub(linked, _PART.sub(_of_readme, markdown))


def _of_readme(found: re.Match[str]) -> str:
    """A part of the README, its links as they are seen from docs/: the snippets extension would leave them as they are."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    part = readme.split(f"<!-- --8<-- [start:{found[1]}] -->\n")[1].split(f"<!-- --8<-- [end:{found[1]}] -->")[0]
    return _LINK.sub(lambda link: f"[{link[1]}](../{link[2]}{link[3] or ''})", part)
