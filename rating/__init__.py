"""The rating engine: exact usage windows from Prometheus in, invoices out.

An invoice is a pure function of closed usage windows and the contract in force. Everything else either brings windows
in or carries invoices out.
"""
