"""Measurements: ratios within one run, never assertions on the clock."""
