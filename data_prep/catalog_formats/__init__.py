"""Readers of one catalogue format each; use :func:`data_prep.catalogs.open_catalog`."""
