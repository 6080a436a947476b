"""Figures that are measured, never asserted."""
