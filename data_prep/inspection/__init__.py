"""What ``python -m data_prep inspect`` finds out and shows."""
