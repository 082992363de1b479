"""The edges: one outside thing each. Only bootstrap names them; each keeps the promise of one port."""
