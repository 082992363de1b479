"""The doors: what the engine answers over HTTP. HTTP words never get past them."""
