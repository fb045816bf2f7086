"""Operations, memory and time."""
