"""Files for everybody whom no other gateway speaks to: each paper once, gathered into numbered batches."""

from rating.adapters.handoff.gateway import FileGateway

__all__ = ["FileGateway"]
