"""Documents of `ports` by jinja2, babel, WeasyPrint and drafthorse; which library draws what stays in this room."""

from rating.adapters.documents.printed import PrintedDocuments

__all__ = ["PrintedDocuments"]
