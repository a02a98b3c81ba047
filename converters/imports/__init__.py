"""Importers of networks of other frameworks."""
