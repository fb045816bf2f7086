"""Floor 5: output for users. Progress, text, reports; `insight` computes what they show."""
