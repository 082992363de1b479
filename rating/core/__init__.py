"""Values and functions of the business. No clock, no I/O, no environment, no float near money."""
