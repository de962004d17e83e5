"""Tests of pipelines/estimate."""
