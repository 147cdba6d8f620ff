"""Preset schemas shipped with data_prep, one YAML file per survey."""
