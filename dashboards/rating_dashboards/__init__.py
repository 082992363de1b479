"""Grafana boards, generated from the catalogue."""

from rating_dashboards.files import FOLDER_TITLE, FOLDER_UID, documents, engine_source, files, panels, source

__all__ = ["FOLDER_TITLE", "FOLDER_UID", "documents", "engine_source", "files", "panels", "source"]
