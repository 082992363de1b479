"""The report as one page by plotly and jinja2; which library draws what stays in this room."""

from rating.adapters.report.page import PlotlyPage

__all__ = ["PlotlyPage"]
