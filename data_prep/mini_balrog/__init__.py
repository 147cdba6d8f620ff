"""The mini-Balrog: a mock survey, its images, injections into them, detection and measurement.

:mod:`data_prep.simulate` is its command; ``docs/mini-balrog.md`` describes it.
"""
