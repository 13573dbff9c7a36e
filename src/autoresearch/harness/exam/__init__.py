"""The examiner's side of the harness: numpy, and no torch."""
