"""Texts that come from Rivo or its customers, made safe for a terminal."""


def printable(text: str) -> str:
    """Replace control characters, with which a name or a server's answer could control the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)
