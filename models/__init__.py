"""Detectors as chains of stages, and what training them needs: matching, losses, temperatures.

Knows neither strategies nor the harness.
"""
