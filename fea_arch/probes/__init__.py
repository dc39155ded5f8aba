"""Live things -> Measurement, one file each."""
