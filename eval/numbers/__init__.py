"""From answer records to numbers: values of every slice, votes, thresholds, training curves."""
