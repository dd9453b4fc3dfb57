"""Sagas under test."""
