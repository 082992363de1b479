"""The book on SQLAlchemy: a SQLite file by default, PostgreSQL by URL."""

from rating.adapters.store.book import StoreBook, compact, migrate, open_book

__all__ = ["StoreBook", "compact", "migrate", "open_book"]
