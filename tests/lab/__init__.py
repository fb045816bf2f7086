"""The lab: experiments, the rule of their verdicts, the book."""
