"""The steps of :func:`data_prep.prepare.prepare`."""
