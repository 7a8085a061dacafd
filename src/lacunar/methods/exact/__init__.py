"""Trainings from which deletion is exact by construction."""
