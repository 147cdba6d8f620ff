"""One sky map: read, written, kept for look-ups; use :mod:`data_prep.survey_maps`."""
