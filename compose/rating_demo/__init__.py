"""The demonstration: real parts, real traffic, and a history whose truth is known, with the invoices it must give."""
