"""Grafana boards, generated from the catalogue."""

from rating_dashboards.files import FOLDER_TITLE, FOLDER_UID, documents, files, panels, source

__all__ = ["FOLDER_TITLE", "FOLDER_UID", "documents", "files", "panels", "source"]
