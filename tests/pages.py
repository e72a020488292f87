"""What a browser would make of a page."""

from html.parser import HTMLParser


class PageReader(HTMLParser):
    """Tags with their attributes, what they load, and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def loads(self) -> list[str]:
        names = ("src", "href", "srcset", "data", "action")
        return [value or "" for _, attributes in self.tags for name, value in attributes.items() if name in names]


def alone(html: str) -> PageReader:
    """The page, which runs nothing and loads nothing from elsewhere, whatever the words in it are."""
    page = PageReader(html)
    assert not {tag for tag, _ in page.tags} & {"script", "iframe", "object", "embed", "link", "base", "form"}
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert all(one.startswith("data:image/") for one in page.loads)
    assert "url(" not in html
    assert "@import" not in html
    assert "default-src 'none'" in html
    return page
