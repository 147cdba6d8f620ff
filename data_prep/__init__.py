"""Turn injection catalogues and survey property maps into training shards.

Nothing here needs TensorFlow, except writing and reading shards
(:mod:`data_prep.shards`), which imports it inside its functions.
"""

__version__ = "0.1.0"
