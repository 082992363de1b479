"""Stripe: what we rated is collected there. README.md says which call carries what, and what a key must be allowed."""
