"""A language's filter profile out of trusted text (`smoltrove calibrate`)."""
