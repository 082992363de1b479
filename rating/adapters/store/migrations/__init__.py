"""How the tables came to be, one revision after another. `rating.adapters.store.schema` runs them."""
