"""Understanding: verdicts, figures and comparisons read off finished runs. Nothing here draws."""
