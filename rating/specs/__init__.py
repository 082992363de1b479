"""Text to core and back: the author's YAML becomes a Catalogue, every mistake a Finding. Pure: reads no files."""
