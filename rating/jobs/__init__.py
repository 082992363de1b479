"""The verbs: each gathers, decides in the core, and applies to the book."""
