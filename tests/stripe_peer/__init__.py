"""A stateful local Stripe: validated by the SDK's own types, with a clock, faults and webhooks of its own."""
