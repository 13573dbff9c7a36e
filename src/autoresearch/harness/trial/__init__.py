"""The trial's side of the harness: training and answering, with torch."""
