"""Fuzzing of the native core: hostile pieces of text, one check against stock, and a coverage-guided fuzzer on top."""
