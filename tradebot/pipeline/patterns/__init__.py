"""Online detectors over bars: floats in, floats out, bounded state."""
