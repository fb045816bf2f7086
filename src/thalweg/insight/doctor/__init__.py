"""The doctor: says why a training fails, proves it by counterfactual runs, and hands over the repair."""
