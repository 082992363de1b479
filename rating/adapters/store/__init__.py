"""The book on SQLAlchemy: a SQLite file by default, PostgreSQL by URL."""

from rating.adapters.store.book import StoreBook, open_book

__all__ = ["StoreBook", "open_book"]
